"""Weights of facenet's networks by rule: each variable is drawn with a seed made of its name."""

import re
import zlib

import numpy as np

LEAVES = {"kernel": "weights", "bias": "biases"}


def variable_name(layer, weight, network="InceptionResnetV1"):
    """The name facenet's graph has for a weight of a layer."""
    scope = re.sub(r"_(?=block\d|Branch|Conv2d|BatchNorm)", "/", layer.name)
    return f"{network}/{scope}/{LEAVES.get(weight.name, weight.name)}"


def draw(name, shape):
    """The values of a variable of TensorFlow 1."""
    random, leaf = np.random.RandomState(zlib.crc32(name.encode())), name.rpartition("/")[2]
    if leaf == "moving_variance":
        return random.uniform(0.5, 1.5, shape)
    scale = np.sqrt(2 / np.prod(shape[:-1])) if leaf == "weights" else 0.1
    return random.randn(*shape) * scale


def fill(model, network="InceptionResnetV1"):
    """Draw all weights of a backbone whose layers are named after facenet's scopes."""
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(draw(variable_name(layer, weight, network), weight.shape))
