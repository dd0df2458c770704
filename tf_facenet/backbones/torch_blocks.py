"""Parts of networks that come from PyTorch, computing the very values that they compute there.

A layer is named after its PyTorch module, with _ for "." (``layer1.0.bn1`` is ``layer1_0_bn1``). The entry
``module.leaf`` of a state dict becomes a weight of that layer:

| leaf | of | Keras weight | from PyTorch's array |
|---|---|---|---|
| weight [O, I, h, w] | convolution | kernel [h, w, I, O] | transpose (2, 3, 1, 0) |
| weight [C, 1, h, w] | depthwise convolution | kernel [h, w, C, 1] | transpose (2, 3, 0, 1) |
| weight [C, 2, 3, 3] | `PairConvolution` | kernel [3, 3, C, 2] | reshape (C/2, 2, 2, 3, 3), transpose (3, 4, 0, 2, 1) |
| weight [O, I], bias [O] | linear | kernel [I, O], bias | transpose (1, 0) |
| weight, bias [C] | batch normalisation | gamma, beta | as they are |
| running_mean, running_var [C] | batch normalisation | moving_mean, moving_variance | as they are |
| weight [C] | PReLU | alpha [1, 1, C] | reshape |
| num_batches_tracked | batch normalisation | none | |

A linear layer behind a flattened map [C, H, W] has its inputs in the order H, W, C here: its weight [O, C·H·W] goes
through reshape (O, C, H, W), transpose (2, 3, 1, 0), reshape (H·W·C, O).
"""

import dataclasses

import keras
from keras import layers, ops

from tf_facenet.backbones import blocks


@dataclasses.dataclass(frozen=True, kw_only=True)
class TorchBlocks(blocks.Blocks):
    """`Blocks` with PyTorch's defaults; `kernels` is the initializer of the convolutions."""

    kernels: keras.initializers.Initializer
    activation: str = "prelu"
    momentum: float = 0.9
    epsilon: float = 1e-5

    def conv(self, x, filters, kernel_size, name, strides=1):
        """Convolution without bias of a map that zeros surround: [B, H, W, C] → [B, ⌈H/s⌉, ⌈W/s⌉, filters]."""
        x, padding = _bordered(x, kernel_size, strides, name)
        return layers.Conv2D(filters, kernel_size, strides, padding, use_bias=False,
                             kernel_initializer=self.kernels.clone(), name=name)(x)

    def depthwise(self, x, kernel_size, name, strides=1):
        """The same for each channel by itself; [B, H, W, C] → [B, ⌈H/s⌉, ⌈W/s⌉, C]."""
        x, padding = _bordered(x, kernel_size, strides, name)
        return layers.DepthwiseConv2D(kernel_size, strides, padding, use_bias=False,
                                      depthwise_initializer=self.grouped(x.shape[-1]), name=name)(x)

    def whole_map(self, x, name):
        """Depthwise convolution over the whole map: [B, H, W, C] → [B, 1, 1, C]."""
        return layers.DepthwiseConv2D(x.shape[1:3], use_bias=False, depthwise_initializer=self.grouped(x.shape[-1]),
                                      name=name)(x)

    def pairs(self, x, name):
        """`PairConvolution`."""
        return PairConvolution(self.grouped(x.shape[-1] / 2), name=name)(x)

    def grouped(self, groups):
        """`kernels` of a convolution in groups. PyTorch's fan-out counts the outputs of all of them, Keras' of one."""
        config = self.kernels.get_config()
        return self.kernels.from_config({**config, "scale": config["scale"] / groups} if "scale" in config else config)

    def norm(self, x, name, activation=None, **options):
        """Batch normalisation, then the activation if that has a name; any shape [B, …, C]."""
        x = layers.BatchNormalization(momentum=self.momentum, epsilon=self.epsilon, name=name, **options)(x)
        return self.activate(x, activation) if activation else x

    def features(self, x, embedding_size, linear, norm, *, use_bias=False, scale=True):
        """The last linear layer and its normalisation, by their names: [B, C] → features [B, D], float32."""
        x = blocks.last_linear(x, embedding_size, linear, use_bias)
        return self.norm(x, norm, scale=scale, dtype="float32")


def _bordered(x, kernel_size, strides, name):
    """(map, padding left to the convolution). With strides Keras' "same" would put no zeros at the top and left."""
    if strides == 1 or kernel_size == 1:
        return x, "same"
    return layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x), "valid"


@keras.saving.register_keras_serializable(package="tf_facenet")
class PairConvolution(keras.layers.Layer):
    """3 × 3 convolution from each pair of channels to a pair, without bias: [B, H, W, C] → [B, H, W, C].

    PyTorch's ``Conv2d(C, C, 3, padding=1, groups=C // 2, bias=False)``. TensorFlow has no convolution in groups on a
    CPU; this is a depthwise one with two outputs for each channel, summed over the two channels of the pair:
    ``kernel[h, w, 2g + i, o]`` is PyTorch's ``weight[2g + o, i, h, w]``.
    """

    def __init__(self, kernel_initializer="he_normal", **kwargs):
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, shape):
        self.kernel = self.add_weight((3, 3, shape[-1], 2), self.kernel_initializer, name="kernel")

    def call(self, x):
        height, width, channels = x.shape[1:]
        x = ops.depthwise_conv(x, self.kernel, padding="same", data_format="channels_last")
        x = ops.sum(ops.reshape(x, (-1, height, width, channels // 2, 2, 2)), axis=-2)
        return ops.reshape(x, (-1, height, width, channels))

    def get_config(self):
        return {**super().get_config(),
                "kernel_initializer": keras.initializers.serialize(self.kernel_initializer)}
