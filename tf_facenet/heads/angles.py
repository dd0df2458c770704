"""Angles between features and centres: cosines, and cosines of angles that were made larger.

Letters: θ the angle of a feature to its class's centre; a = m1 θ + m2.
"""

import math

from keras import ops

# Squared norms below this count as this: facenet's rule for unit rows. Zeros stay zeros.
SMALLEST_SQUARE = 1e-10


def norms(rows):
    """Lengths [N] of rows [N, D]; of a zero row 1e-5, with zero gradient."""
    return ops.sqrt(ops.maximum(ops.sum(ops.square(rows), axis=-1), SMALLEST_SQUARE))


def cosines(features, centers):
    """Cosines of the angles between all features and all centres.

    Neither the cosines nor their gradient need a normalised copy of the centres; the products are
    divided by the centres' lengths.

    Args:
        features: [B, D] float32.
        centers: [C, D] float32.

    Returns:
        [B, C].
    """
    centers = ops.reshape(centers, centers.shape)  # custom gradients are for tensors, not variables
    return _products(features / norms(features)[:, None], centers)


@ops.custom_gradient
def _products(units, centers):
    """Products u·w / ‖w‖ [B, C] of unit rows u [B, D] with centres w [C, D]."""
    squares = ops.einsum("cd,cd->c", centers, centers)
    inverse = ops.rsqrt(ops.maximum(squares, SMALLEST_SQUARE))
    # This way round TensorFlow's product is three times as fast on a CPU.
    products = ops.transpose(ops.matmul(centers, ops.transpose(units))) * inverse

    def gradient(*arguments, upstream=None):  # PyTorch gives it by name
        scaled = (arguments[0] if upstream is None else upstream) * inverse
        moves = ops.cast(squares > SMALLEST_SQUARE, "float32")
        radial = ops.sum(scaled * products, axis=0) * inverse * moves
        to_centers = ops.matmul(ops.transpose(scaled), units) - radial[:, None] * centers
        return ops.matmul(scaled, centers), to_centers

    return products, gradient


def angle(cosine):
    """θ in [1e-6, π] with a gradient that is finite also at cos θ = ±1.

    arctan2(sin θ, cos θ) with sin θ = sqrt(max(1 − cos²θ, 1e-12)); arccos has an infinite gradient
    at ±1 and none for cosines that rounding carries past it.
    """
    sine = ops.sqrt(ops.maximum((1.0 - cosine) * (1.0 + cosine), 1e-12))
    return ops.arctan2(sine, cosine)


def _extend(a, cosine, m2):
    """(−1)^k cos a − 2k with k = ⌊a / π⌋: continuous and falling for all a (SphereFace)."""
    k = ops.stop_gradient(ops.floor(a / math.pi))
    return (1.0 - 2.0 * (k % 2.0)) * ops.cos(a) - 2.0 * k


def _plain(a, cosine, m2):
    """Cos a, which rises again past π (insightface's arcface_torch)."""
    return ops.cos(a)


def _fallback(a, cosine, m2):
    """Cos θ − m2 sin m2 past π: falls, but jumps there (old insightface, CurricularFace, MagFace)."""
    return ops.where(a > math.pi, cosine - m2 * ops.sin(m2), ops.cos(a))


PAST_PI = {"extend": _extend, "plain": _plain, "fallback": _fallback}
