"""Any network of keras.applications, ended for faces: ``keras:EfficientNetV2B0``.

The MobileNets of the table are made here, too: V1 https://arxiv.org/abs/1704.04861, V2
https://arxiv.org/abs/1801.04381, V3 (large) https://arxiv.org/abs/1905.02244.

Deliberate differences to keras.applications: weights are drawn, not downloaded; pixels are
standardised as for all backbones, so that a network's own preprocessing is left out; batch
normalisation has facenet's momentum 0.995, because the moving statistics of 0.999, which some have,
are not usable before some thousand steps; every layer has a fixed name.
"""

import collections
import difflib
import inspect
import re

import keras
from keras import layers

from tf_facenet.backbones import blocks
from tf_facenet.backbones.necks import NECKS
from tf_facenet.backbones.standardize import Standardize
from tf_facenet.lookup import check_options, lookup

MINIMUM_SIZE = 32
NORMALISATION = ("momentum", "epsilon")
PREPROCESSING = (layers.Rescaling, layers.Normalization)
# Keywords of keras.applications that are not the user's: they are set here or concern the lost top.
OURS = {"include_top", "weights", "input_tensor", "input_shape", "pooling", "classes", "classifier_activation",
        "include_preprocessing", "dropout", "dropout_rate", "name"}


def application(
    name, image_size, embedding_size, *, neck="gdc", standardization="fixed", keep_probability=1.0, **options
):
    """Build the network `name` of keras.applications.

    Args:
        name: such as ``"EfficientNetV2B0"``.
        image_size: at least 32 pixels a side; some networks need more.
        embedding_size: see `backbones.create`.
        neck: an entry of `NECKS`.
        standardization: see `backbones.create`.
        keep_probability: see `backbones.create`.
        **options: ``momentum`` and ``epsilon`` of `Blocks`, the latter the network's own if not given; and what the
            application takes, such as ``alpha``, the MobileNets' width multiplier.

    Raises:
        ValueError: no such application, neck or option, or images too small for the network.
    """
    function = _application(name)
    takes = set(inspect.signature(function).parameters)
    check_options(options, {"neck", *NORMALISATION, *takes} - OURS, f"Backbone 'keras:{name}'")
    normalisation = {key: options.pop(key) for key in NORMALISATION if key in options}
    parts = blocks.Blocks.create(f"keras:{name}", normalisation)
    if "include_preprocessing" in takes:
        options["include_preprocessing"] = False
    end = lookup(NECKS, neck, "neck")
    images, x = blocks.pixels(image_size, standardization, MINIMUM_SIZE)
    try:
        x = function(include_top=False, weights=None, input_tensor=x, **options).output
    except (TypeError, ValueError) as error:
        raise ValueError(f"keras.applications cannot build {name} for images of {image_size} pixels with options "
                         f"{options}: {error}") from error
    features = parts.bottleneck(end(parts, x), embedding_size, keep_probability)
    return _tidy(keras.Model(images, features, name=name), {"momentum": parts.momentum, **normalisation})


def _application(name):
    known = {key: value for key, value in vars(keras.applications).items() if key[0].isupper() and callable(value)}
    if name not in known:
        names = difflib.get_close_matches(name, known, 5, 0.5) or sorted(known)
        raise ValueError(f"keras.applications has no {name!r}. Choose one of: {', '.join(names)}.")
    return known[name]


def _tidy(model, normalisation):
    """The same network without preprocessing of its own, with fixed names and these options of batch normalisation.

    Keras numbers layers without a name over the whole process; here they are numbered over the model.
    """
    numbers = collections.Counter()

    def clone(layer):
        config = layer.get_config()
        kind = re.sub(r"_\d+$", "", layer.name)
        if kind.replace("_", "") == type(layer).__name__.lower() and not isinstance(layer, Standardize):
            numbers[kind] += 1
            config["name"] = f"{kind}_{numbers[kind]}"
        if isinstance(layer, layers.BatchNormalization):
            config.update(normalisation)
        return type(layer).from_config(config)

    def call(layer, x, *args, **kwargs):
        return x if isinstance(layer, PREPROCESSING) else layer(x, *args, **kwargs)

    return keras.models.clone_model(model, clone_function=clone, call_function=call)
