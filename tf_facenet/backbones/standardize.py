"""Standardisation of pixels, the first layer of every backbone.

Formulas: facenet src/facenet.py (``fixed_image_standardization``, ``prewhiten``; MIT licence) and
TensorFlow's per_image_standardization.
"""

import math

import keras
from keras import ops

from tf_facenet.lookup import lookup


def _fixed(pixels):
    return (pixels - 127.5) / 128.0


def _per_image(pixels):
    axes = (1, 2, 3)
    pixels = pixels - ops.mean(pixels, axis=axes, keepdims=True)
    std = ops.sqrt(ops.mean(ops.square(pixels), axis=axes, keepdims=True))
    # The lower bound keeps an image of one colour finite.
    return pixels / ops.maximum(std, 1.0 / math.sqrt(math.prod(pixels.shape[1:])))


STANDARDIZATIONS = {"fixed": _fixed, "per_image": _per_image, "none": lambda pixels: pixels}


@keras.saving.register_keras_serializable(package="tf_facenet")
class Standardize(keras.layers.Layer):
    """Pixels [B, H, W, 3] of any number type → standardised [B, H, W, 3].

    ``mode`` is one of

    - ``"fixed"``: (x − 127.5) / 128;
    - ``"per_image"``: (x − mean) / max(std, 1/√N) over the N values of each image, population std;
    - ``"none"``: x, for images that are standardised already.

    Computed in float32 under any dtype policy, then cast to the policy's compute type.
    """

    def __init__(self, mode="fixed", **kwargs):
        # Without autocast: bfloat16 would round pixels before they are standardised.
        super().__init__(autocast=False, **kwargs)
        self.function = lookup(STANDARDIZATIONS, mode, "standardization")
        self.mode = mode

    def call(self, pixels):
        return ops.cast(self.function(ops.cast(pixels, "float32")), self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}
