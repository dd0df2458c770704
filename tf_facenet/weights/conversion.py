"""Files of other programs → networks of this package with their weights."""

import dataclasses
from pathlib import Path

import keras

from tf_facenet import backbones
from tf_facenet.lookup import lookup
from tf_facenet.version import __version__
from tf_facenet.weights import families, pixels, placement, source

EMBEDDING_SIZE = 128  # where neither the file nor the user says it


@dataclasses.dataclass(frozen=True)
class Converted:
    """A network with its weights.

    Attributes:
        model: Keras model, pixels 0..255 RGB [B, H, W, 3] → features [B, D].
        metadata: what `inference.model_file.save_model` stores beside it.
        num_arrays: how many arrays the file has.
        unused: names of those that the network has no use for, such as a classifier's.
        new: layers that the file does not have; they are as drawn and want training.
        feeds: (standardization, color order) of the original's own images.
    """

    model: keras.Model
    metadata: dict
    num_arrays: int
    unused: list
    new: list
    feeds: tuple


def convert(path, backbone="", image_size=None, embedding_size=None, standardization="", color_order="RGB"):
    """Read the weights of a file into the network that they belong to.

    Args:
        path: see `source.read`.
        backbone: the network that is expected, an entry of `backbones.BACKBONES`; "" takes the one that the file is of.
        image_size: one number or (height, width); None takes what the file says, or else what is usual.
        embedding_size: None takes what the file says.
        standardization: what the original takes, one of `pixels.STANDARDIZATIONS`; "" is what is usual for it.
        color_order: "RGB" or "BGR", the order in which the original takes the channels. The network here takes RGB.

    Returns:
        `Converted`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no weights or those of another network, they do not fit the sizes, or a name is unknown.
    """
    lookup(pixels.ORDERS, color_order, "color order")
    arrays = source.read(path)
    try:
        name, seen = families.recognise({name: array.shape for name, array in arrays.items()})
    except ValueError as error:
        raise ValueError(f"'{path}': {error}") from None
    family = families.FAMILIES[name]
    if backbone and backbone.removeprefix("models.") != seen.backbone:
        raise ValueError(f"'{path}' looks like weights of {seen.backbone} ({name}), not of {backbone}; try --backbone "
                         f"{seen.backbone}")
    feeds = standardization or seen.standardization or family.standardization
    sizes = image_size or seen.image_size or family.image_size, embedding_size or seen.embedding_size or EMBEDDING_SIZE
    model = backbones.create(seen.backbone, *sizes, standardization=pixels.own(feeds), **seen.options)
    try:
        unused, new = placement.place(model, arrays, family)
    except ValueError as error:
        raise ValueError(f"'{path}' does not fit {seen.backbone} of {_sizes(*sizes)}: {error}. The file is of "
                         f"{_sizes(seen.image_size, seen.embedding_size)}") from None
    pixels.absorb(model, feeds, color_order)
    metadata = {"backbone": seen.backbone, "standardization": pixels.own(feeds), "color_order": "RGB",
                "template": family.template, "data_licence": family.licence, "version": __version__,
                "source": {"file": Path(path).name, "family": name, "standardization": feeds,
                           "color_order": color_order}}
    return Converted(model, metadata, len(arrays), unused, new, (feeds, color_order))


def _sizes(image_size, embedding_size):
    side = "x".join(map(str, image_size)) if isinstance(image_size, tuple) else image_size or "any number of"
    return f"{side} pixels, {embedding_size or 'any number of'} features"
