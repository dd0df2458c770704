"""Distances of all rows of a batch to each other, as tensorflow-addons defines them.

Each function takes embeddings [..., B, D] and returns distances [..., B, B], float32 under any
policy, with finite gradients also between identical rows and at rows of zeros.
Source of the definitions: tensorflow-addons 0.23, ``losses/metric_learning.py``.
"""

from keras import ops

SMALLEST_SQUARE = 1e-12  # rows shorter than 1e-6 are divided by 1e-6: zeros stay zeros


def squared_l2(embeddings):
    """‖x − y‖² = ‖x‖² + ‖y‖² − 2⟨x, y⟩, not below 0 and exactly 0 on the diagonal."""
    x = ops.cast(embeddings, "float32")
    squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
    distances = ops.relu(squares + _transpose(squares) - 2.0 * ops.matmul(x, _transpose(x)))
    # Rounding leaves 1e-7 or so on the diagonal, which a square root would make 3e-4.
    return distances * (1.0 - ops.eye(ops.shape(x)[-2]))


def l2(embeddings):
    """‖x − y‖; where it is 0 so is its gradient, which the square root would make infinite."""
    squared = squared_l2(embeddings)
    apart = squared > 0
    return ops.where(apart, ops.sqrt(ops.where(apart, squared, 1.0)), 0.0)


def angular(embeddings):
    """1 − cos(x, y), not below 0: no angle, in spite of the name. A row of zeros is 1 from all."""
    x = ops.cast(embeddings, "float32")
    squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
    x = x * ops.rsqrt(ops.maximum(squares, SMALLEST_SQUARE))
    return ops.relu(1.0 - ops.matmul(x, _transpose(x)))


def _transpose(x):
    return ops.swapaxes(x, -1, -2)


DISTANCES = {"squared-L2": squared_l2, "L2": l2, "angular": angular}
