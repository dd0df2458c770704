"""Numbers that are finite, or an error that says where they are not."""

import numpy as np
from keras import ops


class NonFiniteError(ValueError):
    """A loss, a gradient or a weight is NaN or infinite: the network has diverged."""


def check_finite(path, values):
    """Raise NonFiniteError if values of the variable at a path are NaN or infinite.

    Args:
        path: the variable's, for the message.
        values: NumPy array of any shape, of numbers; bfloat16 is of kind V.
    """
    if values.dtype.kind in "fV" and not np.isfinite(values).all():
        raise NonFiniteError(f"{path} holds values that are not finite: the network has diverged; take an earlier one")


def check_weights(model):
    """`check_finite` of all weights of a `keras.Model`."""
    for weight in model.weights:
        check_finite(weight.path, ops.convert_to_numpy(weight))
