"""A function's value and gradients as NumPy, on whichever backend Keras runs."""

import keras
import numpy as np

from tf_facenet.lookup import lookup


def value_and_grad(function, *arrays, compiled=False):
    """Value of ``function(*arrays)`` and its gradient with respect to each array.

    Args:
        function: arrays as the backend's tensors → scalar tensor.
        arrays: NumPy arrays of floats (or what the backend makes a tensor of).
        compiled: through XLA.

    Returns:
        value (NumPy scalar array), gradients (tuple of arrays shaped as the arguments). An
        argument that the value does not depend on has a gradient of zeros.
    """
    differentiate = lookup(BACKENDS, keras.backend.backend(), "backend")
    value, gradients = differentiate(function, arrays, compiled)
    gradients = tuple(np.asarray(gradient) for gradient in gradients)
    return np.asarray(value), gradients


def _tensorflow(function, arrays, compiled):
    import tensorflow as tf

    def both(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        return value, tape.gradient(value, tensors, unconnected_gradients="zero")

    return (tf.function(both, jit_compile=True) if compiled else both)(
        *map(tf.convert_to_tensor, arrays))


def _jax(function, arrays, compiled):
    import jax

    both = jax.value_and_grad(function, argnums=tuple(range(len(arrays))))
    return (jax.jit(both) if compiled else both)(*map(jax.numpy.asarray, arrays))


BACKENDS = {"tensorflow": _tensorflow, "jax": _jax}
