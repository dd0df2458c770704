"""Oriented gradients: a first layer that is computed, not learned, for data too small to learn it from."""

import keras
import numpy as np
from keras import ops

SIGMAS = (1.0, 2.0)  # of the Gaussians that smooth the image, in pixels
RADIUS = 6  # of their kernels
DIRECTIONS = 8
SURROUNDINGS = 13  # side of the square whose gradients a place is compared with, in places of the map
EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="tf_facenet")
class OrientedGradients(keras.layers.Layer):
    """How steeply the grey image rises in each direction, beside its surroundings: [B, H, W, 3] → [B, H/2, W/2, 19].

    With g the mean of the channels, G_σ a Gaussian and u_k a unit vector at the angle 2πk/8,

        a_σk = pool(max(0, σ u_k·∇(G_σ ∗ g))),    channel σk = a_σk / √(box(a²) + ε)

    for two σ: pool is the mean of 2 × 2 pixels, box that of 13 × 13 places and all sixteen channels. The last three are
    the image's own, pooled. A light that changes slowly across a face changes none of the sixteen. They are the
    histograms of oriented gradients of Dalal and Triggs (CVPR 2005), one for each place; in front of learned layers
    as in arXiv:1703.08961. Computed in float32 under any dtype policy.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, images):
        border = [[0, 0], [RADIUS, RADIUS], [RADIUS, RADIUS], [0, 0]]
        gray = ops.pad(ops.mean(images, axis=-1, keepdims=True), border, mode="symmetric")
        rises = ops.relu(ops.matmul(ops.conv(gray, _SLOPES, padding="valid"), _TURNS))
        rises, colors = (ops.average_pool(x, 2, 2, "same") for x in (rises, images))
        energy = ops.mean(ops.square(rises), axis=-1, keepdims=True)
        surroundings = ops.average_pool(energy, SURROUNDINGS, 1, "same")
        return ops.concatenate([rises / ops.sqrt(surroundings + EPSILON), colors], axis=-1)


def _slopes():
    """Kernels [h, w, 1, 2S]: for each σ, times σ, the slope of the smoothed image to the right and downwards."""
    place = np.arange(-RADIUS, RADIUS + 1)
    kernels = []
    for sigma in SIGMAS:
        bell = np.exp(-np.square(place) / (2 * sigma**2))
        bell /= bell.sum()
        right = np.outer(bell, place / sigma * bell)
        kernels += [right, right.T]
    return np.stack(kernels, axis=-1)[:, :, None].astype("float32")


def _turns():
    """Matrix [2S, 8S] from slopes to the right and downwards to those in all directions, for each σ by itself."""
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    return np.kron(np.eye(len(SIGMAS)), [np.cos(angles), np.sin(angles)]).astype("float32")


_SLOPES, _TURNS = _slopes(), _turns()
