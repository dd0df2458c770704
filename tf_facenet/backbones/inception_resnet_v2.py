"""Inception-ResNet-v2 as facenet defines it: 54.5 M parameters with 128 features.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
https://arxiv.org/abs/1602.07261. Original: davidsandberg/facenet src/models/inception_resnet_v2.py
(MIT licence), which has slim's sizes; facenet released no weights of it. Names of layers and
differences: see `inception_resnet`.
"""

import keras
from keras import layers

from tf_facenet.backbones.blocks import Blocks, pixels
from tf_facenet.backbones.inception_resnet import MINIMUM_SIZE, mixed, repeat, residual, stem

MIXED_5B = (
    (("Conv2d_1x1", 96, 1),),
    (("Conv2d_0a_1x1", 48, 1), ("Conv2d_0b_5x5", 64, 5)),
    (("Conv2d_0a_1x1", 64, 1), ("Conv2d_0b_3x3", 96, 3), ("Conv2d_0c_3x3", 96, 3)),
    (("AvgPool_0a_3x3", None, 3), ("Conv2d_0b_1x1", 64, 1)),
)
BLOCK35 = (
    (("Conv2d_1x1", 32, 1),),
    (("Conv2d_0a_1x1", 32, 1), ("Conv2d_0b_3x3", 32, 3)),
    (("Conv2d_0a_1x1", 32, 1), ("Conv2d_0b_3x3", 48, 3), ("Conv2d_0c_3x3", 64, 3)),
)
MIXED_6A = (
    (("Conv2d_1a_3x3", 384, 3),),
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_0b_3x3", 256, 3), ("Conv2d_1a_3x3", 384, 3)),
    (("MaxPool_1a_3x3", None, 3),),
)
BLOCK17 = (
    (("Conv2d_1x1", 192, 1),),
    (("Conv2d_0a_1x1", 128, 1), ("Conv2d_0b_1x7", 160, (1, 7)), ("Conv2d_0c_7x1", 192, (7, 1))),
)
MIXED_7A = (
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 384, 3)),
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_1a_3x3", 288, 3)),
    (("Conv2d_0a_1x1", 256, 1), ("Conv2d_0b_3x3", 288, 3), ("Conv2d_1a_3x3", 320, 3)),
    (("MaxPool_1a_3x3", None, 3),),
)
BLOCK8 = (
    (("Conv2d_1x1", 192, 1),),
    (("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_1x3", 224, (1, 3)), ("Conv2d_0c_3x1", 256, (3, 1))),
)


def inception_resnet_v2(
    image_size, embedding_size, *, repeats=(10, 20, 9), standardization="fixed", keep_probability=1.0, **options
):
    """Build the network; see `backbones.create`. Images have at least 75 pixels a side.

    The comments give sizes for images of 160 × 160. `repeats` says how many of block35, block17 and
    block8 there are, besides the last block8; the other options are those of `Blocks`.
    """
    if not isinstance(repeats, (list, tuple)) or [type(count) for count in repeats] != [int] * 3:
        raise ValueError(f"repeats is {repeats!r}; expected three numbers of blocks, such as (10, 20, 9).")
    parts = Blocks.create("inception_resnet_v2", options, sums=sum(repeats) + 1, own=["repeats"])
    images, x = pixels(image_size, standardization, MINIMUM_SIZE)
    x = layers.MaxPooling2D(3, 2, name="MaxPool_5a_3x3")(stem(parts, x))  # 17 × 17 × 192
    x = mixed(parts, x, "Mixed_5b", MIXED_5B)  # 17 × 17 × 320
    x = repeat(parts, x, "Repeat_block35", repeats[0], BLOCK35, scale=0.17)
    x = mixed(parts, x, "Mixed_6a", MIXED_6A)  # 8 × 8 × 1088
    x = repeat(parts, x, "Repeat_1_block17", repeats[1], BLOCK17, scale=0.10)
    x = mixed(parts, x, "Mixed_7a", MIXED_7A)  # 3 × 3 × 2080
    x = repeat(parts, x, "Repeat_2_block8", repeats[2], BLOCK8, scale=0.20)
    x = residual(parts, x, "Block8", BLOCK8, scale=1.0)
    x = parts.conv_bn(x, 1536, 1, "Conv2d_7b_1x1")
    x = layers.GlobalAveragePooling2D(name="AvgPool_1a_8x8")(x)  # facenet's name, for any size
    features = parts.bottleneck(x, embedding_size, keep_probability)
    return keras.Model(images, features, name="inception_resnet_v2")
