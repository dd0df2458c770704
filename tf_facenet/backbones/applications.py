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
PREPROCESSING = (layers.Rescaling, layers.Normalization)
ACTIVATIONS = {keras.activations.get(name) for name in ("relu", "relu6", "silu", "hard_silu", "gelu")}
# Networks of residual blocks, by the beginning of their names: which input of a sum is the block, not its shortcut.
BLOCK_INPUTS = {"EfficientNet": 0, "MobileNetV2": 1, "MobileNetV3": 1, "ResNet": 1, "Xception": 0,
                "ConvNeXt": None}  # whose sums are no layers: a block ends in …_identity, the place for its drop path
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
        **options: those of `Blocks`, the network's own if not given, but for the momentum; ``drop_path`` only where
            `BLOCK_INPUTS` knows the sums. And what the application takes, such as ``alpha``, the MobileNets' width
            multiplier.

    Raises:
        ValueError: no such application, neck or option, or images too small for the network.
    """
    function = _application(name)
    takes = set(inspect.signature(function).parameters)
    family = next((prefix for prefix in BLOCK_INPUTS if name.startswith(prefix)), None)
    common = {"activation", "momentum", "epsilon", *(["drop_path"] if family else [])}
    check_options(options, {"neck", *common, *takes} - OURS, f"Backbone 'keras:{name}'")
    given = {key: options.pop(key) for key in common & set(options)}
    if "include_preprocessing" in takes:
        options["include_preprocessing"] = False
    end = lookup(NECKS, neck, "neck")
    images, x = blocks.pixels(image_size, standardization, MINIMUM_SIZE)
    try:
        x = function(include_top=False, weights=None, input_tensor=x, **options).output
    except (TypeError, ValueError) as error:
        raise ValueError(f"keras.applications cannot build {name} for images of {image_size} pixels with options "
                         f"{options}: {error}") from error
    sums = sum(isinstance(layer, layers.Add) or _ends_block(layer) for layer in keras.Model(images, x).layers)
    parts = blocks.Blocks.create(f"keras:{name}", given, sums)
    features = parts.bottleneck(end(parts, x), embedding_size, keep_probability)
    change = _Change(parts, given, BLOCK_INPUTS.get(family))
    return keras.models.clone_model(
        keras.Model(images, features, name=name), clone_function=change.clone, call_function=change.call)


def _application(name):
    known = {key: value for key, value in vars(keras.applications).items() if key[0].isupper() and callable(value)}
    if name not in known:
        names = difflib.get_close_matches(name, known, 5, 0.5) or sorted(known)
        raise ValueError(f"keras.applications has no {name!r}. Choose one of: {', '.join(names)}.")
    return known[name]


class _Change:
    """What becomes of a network's layers: no preprocessing of its own, fixed names, and the options `given`.

    Keras numbers layers without a name over the whole process; here they are numbered over the model.
    """

    def __init__(self, parts, given, block_input):
        self.parts, self.given, self.block_input = parts, given, block_input
        self.numbers = collections.Counter()
        self.activated = set()  # names of the layers whose activation is not the network's own

    def clone(self, layer):
        """The new layer."""
        config = layer.get_config()
        kind = re.sub(r"_\d+$", "", layer.name)
        if kind.replace("_", "") == type(layer).__name__.lower() and not isinstance(layer, Standardize):
            self.numbers[kind] += 1
            config["name"] = f"{kind}_{self.numbers[kind]}"
        if isinstance(layer, layers.BatchNormalization):
            config.update(momentum=self.parts.momentum, epsilon=self.given.get("epsilon", layer.epsilon))
        if "activation" in self.given and _is_activated(layer):
            self.activated.add(config["name"])
            config.update({"activation": "linear"} if "activation" in config else {})
        return type(layer).from_config(config)

    def call(self, layer, x, *args, **kwargs):
        """The output of the new layer."""
        if isinstance(layer, PREPROCESSING):
            return x
        if "drop_path" in self.given and isinstance(layer, layers.Add):
            block, shortcut = x[self.block_input], x[1 - self.block_input]
            return self.parts.residual(shortcut, block, layer.name.removesuffix("_add"))
        if "drop_path" in self.given and _ends_block(layer):
            return self.parts.drop_path(x, layer.name.removesuffix("_identity"))
        if "drop_path" in self.given and getattr(layer, "noise_shape", None):  # the network's own
            return x
        if layer.name not in self.activated:
            return layer(x, *args, **kwargs)
        if isinstance(layer, (layers.Activation, layers.ReLU)):
            return self.parts.activate(x, layer.name)
        return self.parts.activate(layer(x), f"{layer.name}_activation")


def _ends_block(layer):
    return isinstance(layer, layers.Activation) and layer.name.endswith("_identity")


def _is_activated(layer):
    """Whether it ends in an activation between layers; a gate's sigmoid stays, MobileNetV3's relu6(x + 3) / 6, too."""
    if isinstance(layer, layers.ReLU):
        return isinstance(layer.input._keras_history.operation, layers.Layer)
    return getattr(layer, "activation", None) in ACTIVATIONS
