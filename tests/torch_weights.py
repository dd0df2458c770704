"""Weights of PyTorch networks by rule, put into the Keras networks whose layers are named after their modules."""

import zlib

import numpy as np
from keras import layers

from tf_facenet.backbones.torch_blocks import PairConvolution

# Kernel of a Keras layer = PyTorch's array, transposed so.
AXES = {layers.Conv2D: (2, 3, 1, 0), layers.DepthwiseConv2D: (2, 3, 0, 1), layers.Dense: (1, 0)}
LEAVES = {"kernel": "weight", "gamma": "weight", "alpha": "weight", "bias": "bias", "beta": "bias",
          "moving_mean": "running_mean", "moving_variance": "running_var",
          "relative_position_bias_table": "relative_position_bias_table"}
UNDERSCORES = ("dw_conv1", "conv_sep", "patch_embed")  # parts of the originals' names


def entry(layer, weight):
    """The name that the state dict has for a weight of a layer."""
    module = layer.name.replace("_", ".")
    for name in UNDERSCORES:
        module = module.replace(name.replace("_", "."), name)
    return f"{module}.{LEAVES[weight.name]}"


def shape(layer, weight):
    """The shape that the array has in PyTorch."""
    if isinstance(layer, PairConvolution):
        return (weight.shape[2], 2, 3, 3)
    if weight.name == "kernel":
        return tuple(weight.shape[AXES[type(layer)].index(axis)] for axis in range(len(weight.shape)))
    return tuple(weight.shape) if weight.name.endswith("table") else (weight.shape[-1],)


def to_keras(model, layer, weight, values):
    """PyTorch's array as the weight of a Keras layer."""
    if isinstance(layer, PairConvolution):
        pairs = len(values) // 2
        return values.reshape(pairs, 2, 2, 3, 3).transpose(3, 4, 0, 2, 1).reshape(weight.shape)
    if layer.name == "fc" and weight.name == "kernel":
        height, width, channels = model.get_layer("bn2").output.shape[1:]
        return values.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(weight.shape)
    if weight.name == "kernel":
        return values.reshape(values.shape[:len(weight.shape)]).transpose(AXES[type(layer)])
    return values.reshape(weight.shape)


def draw(name, shape, prelu, seed=0):
    """The array of an entry, drawn with a seed made of its name, float32; `prelu` = it is a slope."""
    noise = np.random.default_rng(zlib.crc32(f"{seed}:{name}".encode())).standard_normal(shape)
    if name.endswith(("running_mean", ".bias", "bias_table")):
        values = 0.1 * noise
    elif name.endswith("running_var"):
        values = 1 + 0.2 * np.abs(noise)
    elif prelu:
        values = 0.25 + 0.05 * noise
    elif len(shape) == 1:
        values = 1 + 0.1 * noise
    else:
        values = noise * np.sqrt(2 / np.prod(shape[1:]))
    return values.astype("float32")


def fill(model, state=None):
    """Set all weights of `model`: from a state dict, or else by rule.

    Returns:
        dict: name of each entry → shape in PyTorch.
    """
    entries = {}
    for layer in model.layers:
        for weight in layer.weights:
            name = entry(layer, weight)
            entries[name] = shape(layer, weight)
            values = state[name] if state else draw(name, entries[name], weight.name == "alpha")
            weight.assign(to_keras(model, layer, weight, values))
    return entries


def multiply_gamma(model, gamma):
    """What the fixed gamma of an IResNet's last normalisation does, in the layers before it."""
    fc, norm = model.get_layer("fc"), model.get_layer("features")
    fc.set_weights([value * gamma for value in fc.get_weights()])
    norm.moving_mean.assign(norm.moving_mean * gamma)
