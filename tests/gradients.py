"""A function's value and gradients as NumPy, on whichever backend Keras runs."""

import keras
import numpy as np


def value_and_grad(function, *arrays):
    """Value of ``function(*arrays)`` and its gradient with respect to each array.

    Args:
        function: arrays as the backend's tensors → scalar tensor.
        arrays: NumPy arrays of floats (or what the backend makes a tensor of).

    Returns:
        value (NumPy scalar array), gradients (tuple of arrays shaped as the arguments). An
        argument that the value does not depend on has a gradient of zeros.
    """
    backend = keras.backend.backend()
    if backend not in BACKENDS:
        raise NotImplementedError(f"no gradients for {backend}; add it to tests/gradients.py")
    value, gradients = BACKENDS[backend](function, arrays)
    gradients = tuple(np.asarray(gradient) for gradient in gradients)
    return np.asarray(value), gradients


def _tensorflow(function, arrays):
    import tensorflow as tf

    tensors = [tf.convert_to_tensor(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    gradients = tape.gradient(value, tensors, unconnected_gradients="zero")
    return value, [tf.convert_to_tensor(gradient) for gradient in gradients]  # gathers give slices


def _jax(function, arrays):
    import jax

    tensors = [jax.numpy.asarray(array) for array in arrays]
    return jax.value_and_grad(function, argnums=tuple(range(len(tensors))))(*tensors)


BACKENDS = {"tensorflow": _tensorflow, "jax": _jax}
