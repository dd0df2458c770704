"""Whose weights a file holds, and all that follows: network, sizes, how layers are called, what images it takes.

A family is one function and one entry of the table.
"""

import dataclasses
import math
from collections.abc import Callable

from tf_facenet.backbones.iresnet import DEPTHS
from tf_facenet.weights import facenet_pytorch
from tf_facenet.weights.layouts import TF1, TORCH, Layout

HALVINGS = 16  # pixels of the image for each place of the last map of IResNet and the MobileFaceNets
INSIGHTFACE = "insightface's data and released models: non-commercial research only"
FACENET = "as of the training data; facenet's are CASIA-WebFace, MS-Celeb-1M and VGGFace2: research only"


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the names and shapes of a file say about its network; sizes are None if they do not say it."""

    backbone: str
    image_size: tuple | None = None
    embedding_size: int | None = None
    options: dict = dataclasses.field(default_factory=dict)  # more keywords of `backbones.create`
    standardization: str = ""  # "" is the family's usual one


@dataclasses.dataclass(frozen=True)
class Family:
    """Weights that came from one program.

    Args:
        marks: names of arrays that all its files have.
        see: function of the shapes by name → `Seen`.
        layout: of its names and arrays.
        image_size: the usual one.
        standardization: what its networks take, see `pixels.STANDARDIZATIONS`.
        template: where faces lie in its images.
        licence: of the data that its released weights were trained on.
        layers: module → name of the layer, where this is not the module with _ between its parts.
        root: the first part of all names.
        new: prefix of the layers that its networks do not have; they stay as drawn.
    """

    marks: tuple
    see: Callable
    layout: Layout
    image_size: tuple
    standardization: str
    template: str
    licence: str
    layers: dict = dataclasses.field(default_factory=dict)
    root: str = ""
    new: str = ""

    def place(self, name):
        """(name of the layer, leaf) that the name of an array stands for."""
        module, leaf = self.layout.split(name.removeprefix(self.root))
        return self.layers.get(module, module.replace(self.layout.separator, "_")), leaf


def recognise(shapes):
    """The family and the network that arrays belong to.

    Args:
        shapes: dict: name → shape.

    Returns:
        (name of the family, `Seen`).

    Raises:
        ValueError: none that is known, or a form of it that this package does not have.
    """
    for name, family in FAMILIES.items():
        if all(mark in shapes for mark in family.marks):
            return name, family.see(shapes)
    some = ", ".join(f"{name} {list(shape)}" for name, shape in list(shapes.items())[:4])
    raise ValueError(f"{len(shapes)} arrays, such as {some}, are of no network that is known here; expected weights of "
                     f"{', '.join(FAMILIES)}")


def _facenet(version):
    def see(shapes):
        features = f"{ROOTS[version]}Bottleneck/weights"
        features = features if features in shapes else "Bottleneck/weights"  # so in early 2017
        if features not in shapes:
            raise ValueError("has no Bottleneck: it is a model of before March 2017 with 1792 features, which this "
                             "package does not have; facenet's later ones fit")
        size = _sides(shapes, features, 2)[1]
        # The models of 2017 have 128 features and took images standardised one by one.
        return Seen(f"inception_resnet_{version}", None, size, standardization="per_image" if size == 128 else "fixed")
    return see


def _facenet_pytorch(shapes):
    return Seen("inception_resnet_v1", None, _sides(shapes, "last_linear.weight", 2)[0])


def _iresnet(shapes):
    depths = tuple(_count(shapes, f"layer{stage}.", ".conv1.weight") for stage in (1, 2, 3, 4))
    name = next((name for name, known in DEPTHS.items() if known == depths), None)
    if name is None:
        raise ValueError(f"is an IResNet of {depths} blocks; this package has {', '.join(DEPTHS)}")
    features, inputs = _sides(shapes, "fc.weight", 2)
    side = HALVINGS * math.isqrt(inputs // _sides(shapes, "bn2.weight", 1)[0])
    return Seen(name, (side, side), features)


def _mbf(shapes):
    large = "layers.1.layers.0.layers.0.layers.0.weight" in shapes
    return Seen("mbf", _map_size(shapes, "features.layers.0.layers.0.weight"),
                _sides(shapes, "features.layers.2.weight", 2)[0], {"large": True} if large else {})


def _mobilefacenet(shapes):
    return Seen("mobilefacenet", _map_size(shapes, "linear7.conv.weight"), _sides(shapes, "linear1.conv.weight", 4)[0])


def _swin(shapes):
    depths = tuple(_count(shapes, f"layers.{stage}.blocks.", ".norm1.weight") for stage in range(4))
    places = _sides(shapes, "layers.0.blocks.0.attn.relative_position_bias_table", 2)[0]
    window, patch = (math.isqrt(places) + 1) // 2, _sides(shapes, "patch_embed.proj.weight", 4)[2]
    side = 8 * patch * window  # the last map is one window
    return Seen("swin_t", (side, side), None, {"patch": patch, "window": window, "depths": depths})


def _map_size(shapes, name):
    return tuple(HALVINGS * side for side in _sides(shapes, name, 4)[2:])


def _count(shapes, start, end):
    return sum(name.startswith(start) and name.endswith(end) for name in shapes)


def _sides(shapes, name, rank):
    """A shape, with as many sides as it must have."""
    if name not in shapes:
        raise ValueError(f"has no {name}, which says how large the network is; is the file whole?")
    if len(shapes[name]) != rank:
        raise ValueError(f"has {name} of shape {list(shapes[name])}; expected {rank} sides")
    return shapes[name]


ROOTS = {"v1": "InceptionResnetV1/", "v2": "InceptionResnetV2/"}
FAMILIES = {
    **{f"facenet ({backbone})": Family(
        marks=(f"{root}Conv2d_1a_3x3/weights",), see=_facenet(backbone), layout=TF1, image_size=(160, 160),
        standardization="fixed", template="", licence=FACENET, root=root) for backbone, root in ROOTS.items()},
    "facenet-pytorch": Family(
        marks=("conv2d_1a.conv.weight", "last_linear.weight"), see=_facenet_pytorch, layout=TORCH,
        image_size=(160, 160), standardization="fixed", template="", licence=FACENET, layers=facenet_pytorch.layers()),
    "insightface (iresnet)": Family(
        marks=("layer1.0.conv1.weight", "bn2.weight", "fc.weight", "features.bias"), see=_iresnet, layout=TORCH,
        image_size=(112, 112), standardization="insightface", template="112x112", licence=INSIGHTFACE),
    "insightface (mbf)": Family(
        marks=("layers.0.layers.0.weight", "conv_sep.layers.0.weight"), see=_mbf, layout=TORCH, image_size=(112, 112),
        standardization="insightface", template="112x112", licence=INSIGHTFACE),
    "MobileFaceNet_Pytorch": Family(
        marks=("dw_conv1.conv.weight", "linear7.conv.weight"), see=_mobilefacenet, layout=TORCH, image_size=(112, 96),
        standardization="fixed", template="112x96",
        licence="as of the training data; the original's is CASIA-WebFace: research only"),
    "Swin Transformer": Family(
        marks=("patch_embed.proj.weight", "norm.weight"), see=_swin, layout=TORCH, image_size=(224, 224),
        standardization="imagenet", template="", licence="ImageNet: non-commercial research", new="Bottleneck"),
}
