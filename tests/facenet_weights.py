"""Weights that depend on nothing but facenet's variable names, as the recorded numbers used them."""

import re
import zlib

import numpy as np

LEAVES = {"kernel": "weights", "bias": "biases"}


def variable_name(path):
    """Name of a Keras variable of Inception-ResNet-v1 → its name in facenet."""
    layer, leaf = path.split("/")
    scope = re.sub(r"_(block\d|Branch_|Conv2d_|BatchNorm)", r"/\1", layer)
    return f"InceptionResnetV1/{scope}/{LEAVES.get(leaf, leaf)}"


def value(name, shape):
    """Values of a facenet variable, seeded by the checksum of its name."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("weights"):
        return random.randn(*shape) * np.sqrt(2 / np.prod(shape[:-1]))
    if name.endswith("moving_variance"):
        return random.uniform(0.5, 1.5, shape)
    return 0.1 * random.randn(*shape)


def fill(model):
    """Give an Inception-ResNet-v1 these weights."""
    for variable in model.variables:
        if "seed_generator" not in variable.path:
            variable.assign(value(variable_name(variable.path), variable.shape))
