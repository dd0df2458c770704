"""A small plain network for first trials, small data and the demo: 1 M parameters at 64 pixels.

Seven convolutions in four stages of half the size each; the last map is flattened, so that each
place of a face has weights of its own. Batch normalisation forgets fast (momentum 0.9): a trial has
hundreds of steps, not hundreds of thousands.
"""

import keras
from keras import layers

from tf_facenet.backbones import blocks
from tf_facenet.backbones.gradients import OrientedGradients

MINIMUM_SIZE = 32
STAGES = (24, 48, 96, 192)
MOMENTUM = 0.9


def small(image_size, embedding_size, *, gradients=False, standardization="fixed", keep_probability=1.0, **options):
    """Build the network.

    The arguments are `backbones.create`'s, and `gradients`: `OrientedGradients` instead of the first convolution. The
    options are those of `Blocks`.
    """
    parts = blocks.Blocks.create("small", options, own=["gradients"], momentum=MOMENTUM)
    images, x = blocks.pixels(image_size, standardization, MINIMUM_SIZE)
    x = OrientedGradients(name="Gradients")(x) if gradients else parts.conv_bn(x, STAGES[0], 5, "Conv_1", strides=2)
    for stage, filters in enumerate(STAGES[1:], 2):
        x = parts.conv_bn(x, filters, 3, f"Conv_{stage}a", strides=2)
        x = parts.conv_bn(x, filters, 3, f"Conv_{stage}b")
    x = layers.Flatten(name="Flatten")(x)
    features = parts.bottleneck(x, embedding_size, keep_probability)
    return keras.Model(images, features, name="small")
