"""Penalties on kernels and on the size of the features."""

from keras import ops

# Of separable convolutions there are two; of a margin head, centres are the kernel.
KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel", "centers", "sampled_centers")


def kernel_decay(variables):
    """Half the squared length of all kernels: ½ Σ θ² (facenet, slim's l2_regularizer).

    Biases and normalisation weights are no kernels. Keras' ``regularizers.L2(w)`` is twice this.

    Args:
        variables: trainable Keras variables.

    Returns:
        Scalar; multiply it with the weight decay.
    """
    kernels = [variable for variable in variables if variable.name in KERNELS]
    return 0.5 * sum(ops.sum(ops.square(ops.cast(kernel, "float32"))) for kernel in kernels)


def prelogits_norm(features, p=1.0):
    """Mean p-norm of the features: mean_b ‖|f_b| + 1e-4‖_p (facenet train_softmax.py).

    Args:
        features: [B, D], not normalised.
        p: order of the norm.

    Returns:
        Scalar.
    """
    powers = ops.power(ops.abs(features) + 1e-4, p)
    return ops.mean(ops.power(ops.sum(powers, axis=1), 1.0 / p))
