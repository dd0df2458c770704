"""Parts that backbones share: where pixels come in, convolutions, where features go out."""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
from keras import layers, ops

from tf_facenet.backbones.standardize import Standardize
from tf_facenet.lookup import check_options, lookup

MOMENTUM = 0.995  # of moving means and variances, as in facenet

# A PReLU has one slope for each channel, 0.25 at first as in PyTorch.
ACTIVATIONS = {
    "gelu": lambda name: layers.Activation("gelu", name=name),
    "prelu": lambda name: layers.PReLU(keras.initializers.Constant(0.25), shared_axes=[1, 2], name=name),
    "relu": lambda name: layers.ReLU(name=name),
    "swish": lambda name: layers.Activation("swish", name=name),
}


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """What the layers of one network have in common; `create` makes it of a backbone's options.

    The defaults are facenet's, whose batch normalisation has no gamma.

    Args:
        rates: of the sums, in their order; see `residual`.
        activation: an entry of `ACTIVATIONS`.
        momentum: share of the old moving statistics that a step keeps; PyTorch's momentum 0.1 is 0.9 here.
        epsilon: what batch normalisation adds to the variance.
    """

    rates: Iterator
    activation: str = "relu"
    momentum: float = MOMENTUM
    epsilon: float = 1e-3

    @classmethod
    def create(cls, backbone, options, sums=0, own=(), **more):
        """The parts for a backbone of this name with that many sums; it may have options of its `own` beside.

        The options are the fields above, but for the rates `drop_path`: the rate of the last sum, which rises evenly
        from 0 at the first. `more` are fields that are no options, or other defaults of those that are.

        Raises:
            ValueError: an option that there is not, or a value that cannot work.
        """
        known = {"activation", "momentum", "epsilon", *own, *(["drop_path"] if sums else [])}
        check_options(options, known, f"Backbone {backbone!r}")
        options = {**more, **options}
        parts = cls(rates=_rates(options.pop("drop_path", 0.0), sums), **options)
        lookup(ACTIVATIONS, parts.activation, "activation")
        if not 0 <= parts.momentum < 1:
            raise ValueError(f"momentum is {parts.momentum}; expected at least 0, less than 1 (PyTorch's 0.1 is 0.9).")
        if parts.epsilon <= 0:
            raise ValueError(f"epsilon is {parts.epsilon}; expected more than 0, such as 1e-5.")
        return parts

    def activate(self, x, name):
        """The activation; any shape."""
        return ACTIVATIONS[self.activation](name)(x)

    def batch_norm(self, x, name, **kwargs):
        """Batch normalisation, without gamma unless `scale` is given: any shape [B, …, C]."""
        return layers.BatchNormalization(**{"scale": False, **kwargs}, momentum=self.momentum, epsilon=self.epsilon,
                                         name=f"{name}_BatchNorm")(x)

    def conv_bn(self, x, filters, kernel_size, name, strides=1, padding="same"):
        """Convolution without bias, batch normalisation, activation: [B, H, W, C] → [B, H', W', filters]."""
        x = layers.Conv2D(filters, kernel_size, strides, padding, use_bias=False, name=name)(x)
        return self.activate(self.batch_norm(x, name), f"{name}_Relu")

    def residual(self, x, y, name):
        """The next sum of the network, x + y: [B, H, W, C]."""
        return residual(x, y, name, next(self.rates))

    def drop_path(self, x, name):
        """A map [B, H, W, C] before the next sum of the network, where the sum itself is no layer."""
        return drop_path(x, name, next(self.rates))

    def bottleneck(self, x, embedding_size, keep_probability):
        """Dropout, the last linear layer and its normalisation: [B, C] → features [B, D], float32."""
        x = last_linear(dropout(x, keep_probability), embedding_size, "Bottleneck")
        return self.batch_norm(x, "Bottleneck", dtype="float32")


def residual(x, y, name, rate):
    """Sum of maps x and y, [B, H, W, C]; in training y is left out for a share `rate` of the images."""
    return layers.Add(name=f"{name}_add")([x, drop_path(y, name, rate)])


def drop_path(x, name, rate):
    """Maps [B, H, W, C] that in training are 0 for a share `rate` of the images, and x / (1 − rate) for the others.

    Stochastic depth, arXiv:1603.09382.
    """
    return layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop_path")(x) if rate else x


def _rates(drop_path, sums):
    """The rates of that many sums: they rise evenly from 0 to `drop_path`, an iterator."""
    if not 0 <= drop_path < 1:
        raise ValueError(f"drop_path is {drop_path}; expected at least 0, less than 1.")
    return iter(np.linspace(0, drop_path, sums).tolist())


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
