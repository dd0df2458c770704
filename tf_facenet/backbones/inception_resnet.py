"""What facenet's Inception-ResNet-v1 and -v2 share: the stem, and blocks that are made of tables.

A block is branches side by side; a branch is steps one after another, (scope, filters, kernel).
A step whose scope says ``1a`` has stride 2 without padding; one that begins with ``MaxPool`` or
``AvgPool`` has no filters.

Layers are named after facenet's variable scopes, with _ for /, so that the variable
``InceptionResnetV1/Repeat/block35_1/Branch_0/Conv2d_1x1/weights`` is the kernel of the layer
``Repeat_block35_1_Branch_0_Conv2d_1x1``, and ``…/BatchNorm/beta`` is in ``…_BatchNorm``.

Deliberate differences: the moving variance follows the batch variance of Keras, without TensorFlow
1's n/(n − 1); weight decay is the training's business.
"""

from keras import layers

from tf_facenet.backbones.blocks import Scale

MINIMUM_SIZE = 75
POOLS = {"MaxPool": layers.MaxPooling2D, "AvgPool": layers.AveragePooling2D}


def stem(parts, x):
    """Standardised images → [B, H, W, 192]; the comments are for images of 160 × 160."""
    x = parts.conv_bn(x, 32, 3, "Conv2d_1a_3x3", strides=2, padding="valid")  # 79 × 79
    x = parts.conv_bn(x, 32, 3, "Conv2d_2a_3x3", padding="valid")  # 77 × 77
    x = parts.conv_bn(x, 64, 3, "Conv2d_2b_3x3")
    x = layers.MaxPooling2D(3, 2, name="MaxPool_3a_3x3")(x)  # 38 × 38
    x = parts.conv_bn(x, 80, 1, "Conv2d_3b_1x1")
    return parts.conv_bn(x, 192, 3, "Conv2d_4a_3x3", padding="valid")  # 36 × 36


def repeat(parts, x, name, count, table, scale):
    """`count` residual blocks, each with an activation."""
    for index in range(1, count + 1):
        x = residual(parts, x, f"{name}_{index}", table, scale)
        x = parts.activate(x, f"{name}_{index}_Relu")
    return x


def residual(parts, x, name, table, scale):
    """The sum x + scale · up(branches), where up is a 1×1 convolution with bias."""
    up = mixed(parts, x, f"{name}_Concat", table, name)
    up = layers.Conv2D(x.shape[-1], 1, name=f"{name}_Conv2d_1x1")(up)
    return parts.residual(x, Scale(scale, name=f"{name}_Scale")(up), name)


def mixed(parts, x, name, table, scope=None):
    """Branches, concatenated."""
    outputs = [_branch(parts, x, f"{scope or name}_Branch_{i}", steps) for i, steps in enumerate(table)]
    return layers.Concatenate(name=name)(outputs)


def _branch(parts, x, name, steps):
    for scope, filters, kernel in steps:
        strides, padding = (2, "valid") if "_1a_" in scope else (1, "same")
        kind = scope.partition("_")[0]
        if kind in POOLS:
            x = POOLS[kind](kernel, strides, padding, name=f"{name}_{scope}")(x)
        else:
            x = parts.conv_bn(x, filters, kernel, f"{name}_{scope}", strides, padding)
    return x
