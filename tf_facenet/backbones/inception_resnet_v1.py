"""Inception-ResNet-v1 as facenet defines it.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
https://arxiv.org/abs/1602.07261. Original: davidsandberg/facenet src/models/inception_resnet_v1.py
(MIT licence), which is not the paper's network: its stem has no inception module, its block17 has
1×7 and 7×1 convolutions of 128, and batch normalisation has no gamma. Names of layers and
differences: see `inception_resnet`.
"""

import keras
from keras import layers

from tf_facenet.backbones.blocks import Blocks, pixels
from tf_facenet.backbones.inception_resnet import MINIMUM_SIZE, mixed, repeat, residual, stem

REPEATS = (5, 10, 5)  # of block35, block17 and block8, besides the last block8
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
    (("MaxPool_1a_3x3", None, 3),),
)
MIXED_7A = (
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 384, 3)),
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 256, 3)),
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_0b_3x3", 256, 3), ("Conv2d_1a_3x3", 256, 3)),
    (("MaxPool_1a_3x3", None, 3),),
)


def inception_resnet_v1(image_size, embedding_size, standardization="fixed", keep_probability=1.0, **options):
    """Build the network; see `backbones.create`. Images have at least 75 pixels a side.

    The options are those of `Blocks`. The comments give sizes for images of 160 × 160.
    """
    parts = Blocks.create("inception_resnet_v1", options, sums=sum(REPEATS) + 1)
    images, x = pixels(image_size, standardization, MINIMUM_SIZE)
    x = parts.conv_bn(stem(parts, x), 256, 3, "Conv2d_4b_3x3", strides=2, padding="valid")  # 17 × 17
    x = repeat(parts, x, "Repeat_block35", REPEATS[0], BLOCK35, scale=0.17)
    x = mixed(parts, x, "Mixed_6a", MIXED_6A)  # 8 × 8 × 896
    x = repeat(parts, x, "Repeat_1_block17", REPEATS[1], BLOCK17, scale=0.10)
    x = mixed(parts, x, "Mixed_7a", MIXED_7A)  # 3 × 3 × 1792
    x = repeat(parts, x, "Repeat_2_block8", REPEATS[2], BLOCK8, scale=0.20)
    x = residual(parts, x, "Block8", BLOCK8, scale=1.0)
    x = layers.GlobalAveragePooling2D(name="AvgPool_1a_8x8")(x)  # facenet's name, for any size
    features = parts.bottleneck(x, embedding_size, keep_probability)
    return keras.Model(images, features, name="inception_resnet_v1")
