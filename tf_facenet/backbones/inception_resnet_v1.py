"""Inception-ResNet-v1 as facenet defines it.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
https://arxiv.org/abs/1602.07261. Original: davidsandberg/facenet src/models/inception_resnet_v1.py
(MIT licence), which is not the paper's network: its stem has no inception module, its block17 has
1×7 and 7×1 convolutions of 128, and batch normalisation has no gamma.

Layers are named after facenet's variable scopes, with _ for /, so that the variable
``InceptionResnetV1/Repeat/block35_1/Branch_0/Conv2d_1x1/weights`` is the kernel of the layer
``Repeat_block35_1_Branch_0_Conv2d_1x1``, and ``…/BatchNorm/beta`` is in ``…_BatchNorm``.

Deliberate differences: the moving variance follows the batch variance of Keras, without TensorFlow
1's n/(n − 1); weight decay is the training's business.
"""

import keras
from keras import layers

from tf_facenet.backbones import blocks

MINIMUM_SIZE = 75

# Branches of (scope, filters, kernel). A convolution of a reduction has stride 2 where it says 1a.
BLOCK35 = (
    (("Conv2d_1x1", 32, 1),),
    (("Conv2d_0a_1x1", 32, 1), ("Conv2d_0b_3x3", 32, 3)),
    (("Conv2d_0a_1x1", 32, 1), ("Conv2d_0b_3x3", 32, 3), ("Conv2d_0c_3x3", 32, 3)),
)
BLOCK17 = (
    (("Conv2d_1x1", 128, 1),),
    (("Conv2d_0a_1x1", 128, 1), ("Conv2d_0b_1x7", 128, (1, 7)), ("Conv2d_0c_7x1", 128, (7, 1))),
)
BLOCK8 = (
    (("Conv2d_1x1", 192, 1),),
    (("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_1x3", 192, (1, 3)), ("Conv2d_0c_3x1", 192, (3, 1))),
)
MIXED_6A = (
    (("Conv2d_1a_3x3", 384, 3),),
    (("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_3x3", 192, 3), ("Conv2d_1a_3x3", 256, 3)),
)
MIXED_7A = (
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 384, 3)),
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 256, 3)),
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_0b_3x3", 256, 3), ("Conv2d_1a_3x3", 256, 3)),
)


def inception_resnet_v1(
    image_size, embedding_size, standardization="fixed", keep_probability=1.0
):
    """Build the network; see `backbones.create`. Images have at least 75 pixels a side.

    The comments give sizes for images of 160 × 160.
    """
    images, x = blocks.pixels(image_size, standardization, MINIMUM_SIZE)
    x = _stem(x)  # 17 × 17 × 256
    x = _repeat(x, "Repeat_block35", 5, BLOCK35, scale=0.17)
    x = _reduction(x, "Mixed_6a", MIXED_6A)  # 8 × 8 × 896
    x = _repeat(x, "Repeat_1_block17", 10, BLOCK17, scale=0.10)
    x = _reduction(x, "Mixed_7a", MIXED_7A)  # 3 × 3 × 1792
    x = _repeat(x, "Repeat_2_block8", 5, BLOCK8, scale=0.20)
    x = _residual(x, "Block8", BLOCK8, scale=1.0)
    x = layers.GlobalAveragePooling2D(name="AvgPool_1a_8x8")(x)  # facenet's name, for any size
    features = blocks.bottleneck(x, embedding_size, keep_probability)
    return keras.Model(images, features, name="inception_resnet_v1")


def _stem(x):
    x = blocks.conv_bn(x, 32, 3, "Conv2d_1a_3x3", strides=2, padding="valid")  # 79 × 79
    x = blocks.conv_bn(x, 32, 3, "Conv2d_2a_3x3", padding="valid")  # 77 × 77
    x = blocks.conv_bn(x, 64, 3, "Conv2d_2b_3x3")
    x = layers.MaxPooling2D(3, 2, name="MaxPool_3a_3x3")(x)  # 38 × 38
    x = blocks.conv_bn(x, 80, 1, "Conv2d_3b_1x1")
    x = blocks.conv_bn(x, 192, 3, "Conv2d_4a_3x3", padding="valid")  # 36 × 36
    return blocks.conv_bn(x, 256, 3, "Conv2d_4b_3x3", strides=2, padding="valid")


def _repeat(x, name, count, branches, scale):
    for index in range(1, count + 1):
        x = _residual(x, f"{name}_{index}", branches, scale)
        x = layers.ReLU(name=f"{name}_{index}_Relu")(x)
    return x


def _residual(x, name, branches, scale):
    """The sum x + scale · up(branches), where up is a 1×1 convolution with bias."""
    outputs = [_branch(x, f"{name}_Branch_{i}", convs) for i, convs in enumerate(branches)]
    up = layers.Concatenate(name=f"{name}_Concat")(outputs)
    up = layers.Conv2D(x.shape[-1], 1, name=f"{name}_Conv2d_1x1")(up)
    up = blocks.Scale(scale, name=f"{name}_Scale")(up)
    return layers.Add(name=f"{name}_Add")([x, up])


def _reduction(x, name, branches):
    """Branches that halve the size, and a max pooling, side by side."""
    outputs = [_branch(x, f"{name}_Branch_{i}", convs) for i, convs in enumerate(branches)]
    pool = layers.MaxPooling2D(3, 2, name=f"{name}_Branch_{len(branches)}_MaxPool_1a_3x3")(x)
    return layers.Concatenate(name=name)([*outputs, pool])


def _branch(x, name, convs):
    for scope, filters, kernel in convs:
        halve = {"strides": 2, "padding": "valid"} if "_1a_" in scope else {}
        x = blocks.conv_bn(x, filters, kernel, f"{name}_{scope}", **halve)
    return x
