"""Parts that backbones share: where pixels come in, convolutions, where features go out."""

import keras
import numpy as np
from keras import layers, ops

from tf_facenet.backbones.standardize import Standardize

MOMENTUM = 0.995  # of moving means and variances, as in facenet


def pixels(image_size, standardization, minimum):
    """The input of a backbone.

    Args:
        image_size: side, or (height, width).
        standardization: see `Standardize`.
        minimum: the smallest side that the family can take.

    Returns:
        (input, standardised images), both symbolic [B, H, W, 3].

    Raises:
        ValueError: the size is not one or two integers, or is too small.
    """
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        raise ValueError(f"image_size is {image_size!r}; expected an int or (height, width).")
    if min(sides) < minimum:
        raise ValueError(f"image_size is {image_size}; this backbone needs at least {minimum} "
                         "pixels a side.")
    images = keras.Input((*sides, 3), name="pixels")
    return images, Standardize(standardization, name="standardize")(images)


def batch_norm(x, name, momentum=MOMENTUM, **kwargs):
    """Batch normalisation as facenet has it: momentum 0.995, epsilon 0.001, no gamma."""
    return layers.BatchNormalization(
        momentum=momentum, epsilon=1e-3, scale=False, name=f"{name}_BatchNorm", **kwargs)(x)


def conv_bn(x, filters, kernel_size, name, strides=1, padding="same", momentum=MOMENTUM):
    """Convolution without bias, batch normalisation, ReLU: [B, H, W, C] → [B, H', W', filters]."""
    x = layers.Conv2D(
        filters, kernel_size, strides, padding, use_bias=False, name=name)(x)
    return layers.ReLU(name=f"{name}_Relu")(batch_norm(x, name, momentum))


def drop_path_rates(drop_path, sums):
    """The rates of that many sums (see `residual`): they rise evenly from 0 to `drop_path`, an iterator.

    Raises:
        ValueError: `drop_path` is out of range.
    """
    if not 0 <= drop_path < 1:
        raise ValueError(f"drop_path is {drop_path}; expected at least 0, less than 1.")
    return iter(np.linspace(0, drop_path, sums).tolist())


def residual(x, y, name, rate=0.0):
    """Sum of maps x and y, [B, H, W, C]; in training y is left out for a share `rate` of the images.

    Stochastic depth, arXiv:1603.09382; for the other images y is divided by 1 − rate.
    """
    if rate:
        y = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop_path")(y)
    return layers.Add(name=f"{name}_add")([x, y])


def dropout(x, keep_probability, name="Dropout"):
    """Dropout of any shape.

    Raises:
        ValueError: `keep_probability` is out of range.
    """
    if not 0 < keep_probability <= 1:
        raise ValueError(f"keep_probability is {keep_probability}; expected more than 0, at most "
                         "1 (1 is no dropout).")
    return layers.Dropout(1 - keep_probability, name=name)(x)


def last_linear(x, embedding_size, name, use_bias=False):
    """The last linear layer: [B, C] → [B, D], float32 under any policy.

    Raises:
        ValueError: `embedding_size` is less than 1.
    """
    if embedding_size < 1:
        raise ValueError(f"embedding_size is {embedding_size}; expected at least 1.")
    return layers.Dense(embedding_size, use_bias=use_bias, dtype="float32", name=name)(x)


def bottleneck(x, embedding_size, keep_probability, momentum=MOMENTUM):
    """Dropout, the last linear layer and its normalisation: [B, C] → features [B, D], float32."""
    x = last_linear(dropout(x, keep_probability), embedding_size, "Bottleneck")
    return batch_norm(x, "Bottleneck", momentum, dtype="float32")


@keras.saving.register_keras_serializable(package="tf_facenet")
class Scale(keras.layers.Layer):
    """x · factor, any shape."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return ops.multiply(x, self.factor)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
