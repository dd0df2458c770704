"""How libraries name the weights of a layer and lay out their arrays."""

import dataclasses

import keras
from keras import layers

from tf_facenet.backbones.torch_blocks import PairConvolution

# Axes of PyTorch's array in the order of the Keras kernel.
TORCH_AXES = {layers.Conv2D: (2, 3, 1, 0), layers.DepthwiseConv2D: (2, 3, 0, 1), layers.Dense: (1, 0)}


def _torch_shape(layer, weight):
    """Shape of PyTorch's array for a weight of a Keras layer."""
    if isinstance(layer, PairConvolution):
        return (weight.shape[2], 2, 3, 3)
    if weight.name == "kernel":
        axes = TORCH_AXES[type(layer)]
        return tuple(weight.shape[axes.index(axis)] for axis in range(len(axes)))
    if isinstance(layer, layers.PReLU):
        return (weight.shape[-1],)
    return tuple(weight.shape)


def _from_torch(layer, weight, values):
    """PyTorch's array as the weight of a Keras layer; `torch_blocks` has the table of these."""
    if isinstance(layer, PairConvolution):
        values = values.reshape(-1, 2, 2, 3, 3).transpose(3, 4, 0, 2, 1)
    elif weight.name == "kernel" and flattened_map(layer):
        values = values.reshape(len(values), *flattened_map(layer)).transpose(2, 3, 1, 0)
    elif weight.name == "kernel":
        values = values.transpose(TORCH_AXES[type(layer)])
    return values.reshape(weight.shape)


def flattened_map(layer):
    """(C, H, W) of the map that a linear layer gets flattened; None if it gets no such map."""
    if not isinstance(layer, layers.Dense):
        return None
    before = producer(layer)
    while isinstance(before, layers.Dropout):
        before = producer(before)
    if not isinstance(before, layers.Flatten):
        return None
    height, width, channels = before.input.shape[1:]
    return channels, height, width


def producer(layer):
    """The layer whose output a layer takes."""
    return keras.tree.flatten(layer.input)[0]._keras_history.operation


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names and arrays of a library.

    Args:
        separator: what stands between the parts of a name.
        leaves: name of a weight in Keras → last part of the name there, where they differ.
        shape: function (layer, weight) → shape of the array there.
        to_keras: function (layer, weight, array) → array for Keras.
    """

    separator: str
    leaves: dict
    shape: callable
    to_keras: callable

    def split(self, name):
        """(module, leaf) of a name."""
        module, _, leaf = name.rpartition(self.separator)
        return module, leaf

    def leaf(self, weight):
        """The last part of the name there of a weight by its name in Keras."""
        return self.leaves.get(weight, weight)


TORCH = Layout(".", {"kernel": "weight", "gamma": "weight", "alpha": "weight", "beta": "bias",
                     "moving_mean": "running_mean", "moving_variance": "running_var"}, _torch_shape, _from_torch)
TF1 = Layout("/", {"kernel": "weights", "bias": "biases"}, lambda _layer, weight: tuple(weight.shape),
             lambda _layer, _weight, values: values)
