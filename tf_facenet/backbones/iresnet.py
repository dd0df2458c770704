"""IResNet-18 to IResNet-200, the residual networks of ArcFace.

He et al., "Identity Mappings in Deep Residual Networks", https://arxiv.org/abs/1603.05027, in the form of Deng et al.,
"ArcFace", https://arxiv.org/abs/1801.07698. Original: deepinsight/insightface
recognition/arcface_torch/backbones/iresnet.py (MIT licence): a block is norm, convolution, norm, PReLU, convolution,
norm; the first map is as large as the image; each of four stages halves it; the last map is flattened, so that each
place of a face has weights of its own.

Layers are named after the original's modules; `torch_blocks` says which array becomes which weight. Two are special:

- ``fc.weight`` is behind a flattened map of 512 channels, see there;
- ``features.weight`` is frozen at 1 in the original and has no counterpart. Should it hold other values γ: multiply
  the rows of ``fc.weight``, ``fc.bias`` and ``features.running_mean`` by γ, which gives the same features.

Deliberate difference: the moving variance follows the batch variance of Keras, without PyTorch's n/(n − 1).
"""

import functools

import keras
from keras import layers

from tf_facenet.backbones import blocks
from tf_facenet.backbones.torch_blocks import TorchBlocks

MINIMUM_SIZE = 16
FILTERS = (64, 128, 256, 512)
DEPTHS = {  # blocks of each stage
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
    "iresnet200": (6, 26, 60, 6),
}


def _iresnet(name, image_size, embedding_size, *, standardization="fixed", keep_probability=1.0, **options):
    """Build the network `name`; the arguments are `backbones.create`'s, the options those of `TorchBlocks`.

    The comments give sizes for images of 112 × 112.
    """
    images, x = blocks.pixels(image_size, standardization, MINIMUM_SIZE)
    parts = TorchBlocks.create(name, options, sum(DEPTHS[name]), kernels=keras.initializers.RandomNormal(stddev=0.1))
    x = parts.norm(parts.conv(x, FILTERS[0], 3, "conv1"), "bn1", "prelu")  # 112 × 112 × 64
    for stage, (filters, depth) in enumerate(zip(FILTERS, DEPTHS[name], strict=True), 1):
        for index in range(depth):  # 56 × 56 × 64, 28 × 28 × 128, 14 × 14 × 256, 7 × 7 × 512
            x = _block(parts, x, filters, f"layer{stage}_{index}", strides=1 if index else 2)
    x = layers.Flatten(name="flatten")(parts.norm(x, "bn2"))
    x = blocks.dropout(x, keep_probability, "dropout")
    features = parts.features(x, embedding_size, "fc", "features", use_bias=True, scale=False)
    return keras.Model(images, features, name=name)


def _block(parts, x, filters, name, strides):
    """The sum of x and two convolutions of it; where the size halves, x goes through a 1 × 1 convolution."""
    y = parts.conv(parts.norm(x, f"{name}_bn1"), filters, 3, f"{name}_conv1")
    y = parts.conv(parts.norm(y, f"{name}_bn2", f"{name}_prelu"), filters, 3, f"{name}_conv2", strides)
    y = parts.norm(y, f"{name}_bn3")
    if strides > 1:
        x = parts.norm(parts.conv(x, filters, 1, f"{name}_downsample_0", strides), f"{name}_downsample_1")
    return parts.residual(x, y, name)


iresnet18, iresnet34, iresnet50, iresnet100, iresnet200 = (functools.partial(_iresnet, name) for name in DEPTHS)
