"""MobileFaceNet in its two forms: the paper's, and insightface's wider one.

Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices",
https://arxiv.org/abs/1804.07573: MobileNetV2's bottlenecks with PReLU, and at the end a depthwise convolution over the
whole last map, which weighs every place of a face where a mean would treat its middle and its border alike.

- `mobilefacenet`: the paper's, as Xiaoccer/MobileFaceNet_Pytorch core/model.py has it; 1.0 M parameters at 112 × 112,
  128-d.
- `mbf`: deepinsight/insightface recognition/arcface_torch/backbones/mobilefacenet.py (MIT licence); 2.06 M parameters
  at 512-d, 6.3 M if `large`.

Layers are named after the originals' modules; `torch_blocks` says which array becomes which weight. One is special:
``linear1.conv.weight`` [O, I, 1, 1] of MobileFaceNet_Pytorch is of a map of one pixel, here of a linear layer.

Deliberate difference: the originals have no dropout; here it is before the last linear layer, if asked for.
"""

import keras
from keras import layers

from tf_facenet.backbones import blocks
from tf_facenet.backbones.torch_blocks import TorchBlocks

MINIMUM_SIZE = 16
LAST = 512  # channels of the last map

# The paper's table 1: expansion t, channels c, repetitions n, strides s of the first.
BOTTLENECKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))

# insightface's: channels as multiples of the width, channels inside the bottleneck that halves, and inside the rest.
MBF_STAGES = ((1, 128, 128), (2, 256, 256), (2, 512, 256))
MBF_SIZES = {False: (128, (1, 4, 6, 2)), True: (256, (2, 8, 12, 4))}  # large: width, repetitions


def mobilefacenet(image_size, embedding_size, *, standardization="fixed", keep_probability=1.0, **options):
    """Build the paper's network; the arguments are `backbones.create`'s, the options those of `TorchBlocks`."""
    sums = sum(repetitions - (strides > 1) for _, _, repetitions, strides in BOTTLENECKS)
    images, x, parts = _start("mobilefacenet", image_size, standardization, options, sums)
    x = parts.norm(parts.conv(x, 64, 3, "conv1_conv", 2), "conv1_bn", "conv1_prelu")
    x = parts.norm(parts.depthwise(x, 3, "dw_conv1_conv"), "dw_conv1_bn", "dw_conv1_prelu")
    number = 0
    for expansion, filters, repetitions, strides in BOTTLENECKS:
        for index in range(repetitions):
            names = [f"blocks_{number}_conv_{module}" for module in range(8)]
            x = _bottleneck(parts, x, (expansion * x.shape[-1], filters), names, 1 if index else strides)
            number += 1
    x = parts.norm(parts.conv(x, LAST, 1, "conv2_conv"), "conv2_bn", "conv2_prelu")
    x = layers.Flatten(name="flatten")(parts.norm(parts.whole_map(x, "linear7_conv"), "linear7_bn"))
    x = blocks.dropout(x, keep_probability, "dropout")
    features = parts.features(x, embedding_size, "linear1_conv", "linear1_bn")
    return keras.Model(images, features, name="mobilefacenet")


def mbf(image_size, embedding_size, *, large=False, standardization="fixed", keep_probability=1.0, **options):
    """Build insightface's network; `large` has twice the width and depth, the rest is as for `mobilefacenet`."""
    width, repetitions = MBF_SIZES[bool(large)]
    sums = sum(repetitions if large else repetitions[1:])
    images, x, parts = _start("mbf", image_size, standardization, options, sums, own=["large"])
    x = parts.norm(parts.conv(x, width, 3, "layers_0_layers_0", 2), "layers_0_layers_1", "layers_0_layers_2")
    if large:
        x = _residuals(parts, x, 128, repetitions[0], "layers_1")
    else:
        x = parts.pairs(x, "layers_1_layers_0")
        x = parts.norm(x, "layers_1_layers_1", "layers_1_layers_2")
    for number, (factor, inside, inside_rest) in enumerate(MBF_STAGES, 1):
        x = _bottleneck(parts, x, (inside, factor * width), _mbf_names(f"layers_{2 * number}"), 2)
        x = _residuals(parts, x, inside_rest, repetitions[number], f"layers_{2 * number + 1}")
    x = parts.norm(parts.conv(x, LAST, 1, "conv_sep_layers_0"), "conv_sep_layers_1", "conv_sep_layers_2")
    x = parts.norm(parts.whole_map(x, "features_layers_0_layers_0"), "features_layers_0_layers_1")
    x = blocks.dropout(layers.Flatten(name="features_layers_1")(x), keep_probability, "dropout")
    features = parts.features(x, embedding_size, "features_layers_2", "features_layers_3")
    return keras.Model(images, features, name="mbf")


def _start(name, image_size, standardization, options, sums, own=()):
    images, x = blocks.pixels(image_size, standardization, MINIMUM_SIZE)
    kernels = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    return images, x, TorchBlocks.create(name, options, sums, own, kernels=kernels)


def _bottleneck(parts, x, channels, names, strides):
    """1 × 1 convolution to channels[0], depthwise 3 × 3, linear 1 × 1 to channels[1]; without strides x is added.

    `names`: convolution, norm, activation; convolution, norm, activation; convolution, norm.
    """
    y = parts.norm(parts.conv(x, channels[0], 1, names[0]), names[1], names[2])
    y = parts.norm(parts.depthwise(y, 3, names[3], strides), names[4], names[5])
    y = parts.norm(parts.conv(y, channels[1], 1, names[6]), names[7])
    return y if strides > 1 else parts.residual(x, y, names[7])


def _residuals(parts, x, inside, repetitions, name):
    for index in range(repetitions):
        x = _bottleneck(parts, x, (inside, x.shape[-1]), _mbf_names(f"{name}_layers_{index}"), 1)
    return x


def _mbf_names(name):
    """The names that insightface has for the eight layers of a bottleneck."""
    return [f"{name}_layers_{index // 3}_layers_{index % 3}" for index in range(8)]
