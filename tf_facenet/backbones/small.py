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


def small(
    image_size, embedding_size, *, gradients=False, residuals=0, scales=1, standardization="fixed",
    keep_probability=1.0, **options
):
    """Build the network.

    Args:
        image_size: at least 32 pixels a side.
        embedding_size: see `backbones.create`.
        gradients: `OrientedGradients` instead of the first convolution.
        residuals: so many residual blocks instead of the second convolution of each stage.
        scales: the embedding sees the maps of so many stages, the last ones (DeepID, CVPR 2014, figure 2: two).
        standardization: see `backbones.create`.
        keep_probability: see `backbones.create`.
        **options: those of `Blocks`; ``drop_path`` if there are residual blocks.

    Raises:
        ValueError: an image size or an option that cannot work.
    """
    if not isinstance(residuals, int) or residuals < 0:
        raise ValueError(f"residuals is {residuals!r}; expected a number of blocks, such as 1, or 0 for none.")
    if not isinstance(scales, int) or not 1 <= scales < len(STAGES):
        raise ValueError(f"scales is {scales!r}; expected a number of stages from 1 to {len(STAGES) - 1}.")
    sums = residuals * len(STAGES[1:])
    parts = blocks.Blocks.create("small", options, sums, own=["gradients", "residuals", "scales"], momentum=MOMENTUM)
    images, x = blocks.pixels(image_size, standardization, MINIMUM_SIZE)
    x = OrientedGradients(name="Gradients")(x) if gradients else parts.conv_bn(x, STAGES[0], 5, "Conv_1", strides=2)
    maps = []
    for stage, filters in enumerate(STAGES[1:], 2):
        x = parts.conv_bn(x, filters, 3, f"Conv_{stage}a", strides=2)
        if residuals:
            x = _residuals(parts, x, residuals, f"Conv_{stage}")
        else:
            x = parts.conv_bn(x, filters, 3, f"Conv_{stage}b")
        maps.append(x)
    features = parts.bottleneck(_side_by_side(maps[-scales:]), embedding_size, keep_probability)
    return keras.Model(images, features, name="small")


def _side_by_side(maps):
    """The maps of some stages, each [B, H, W, C], as one vector an image: [B, F]."""
    vectors = [layers.Flatten(name=f"Flatten_{x.shape[-1]}")(x) for x in maps]
    return layers.Concatenate(name="Scales")(vectors) if len(vectors) > 1 else vectors[0]


def _residuals(parts, x, count, name):
    """So many sums of x and two convolutions of it, normalised at the end: [B, H, W, C]."""
    for block in range(count):
        inside = f"{name}_{block}"
        y = parts.conv_bn(x, x.shape[-1], 3, f"{inside}a")
        y = layers.Conv2D(x.shape[-1], 3, padding="same", use_bias=False, name=f"{inside}b")(y)
        # A block begins as the identity, https://arxiv.org/abs/1706.02677, 5.1.
        y = parts.batch_norm(y, f"{inside}b", scale=True, gamma_initializer="zeros")
        x = parts.residual(x, y, inside)
    return parts.activate(parts.batch_norm(x, name), f"{name}_Relu")
