"""Arrays of a file → the weights of a network, each by its name; what does not fit is named."""

import dataclasses

import numpy as np
from keras import layers

from tf_facenet.weights.layouts import producer

SHOWN = 4  # names in a message


@dataclasses.dataclass
class Placed:
    """What became of the arrays: `unused` are names in the file, `new` names of layers that it does not have."""

    unused: list
    new: list


class _Arrays:
    """The arrays of a file by layer and leaf; remembers which were asked for."""

    def __init__(self, arrays, family):
        self.names, self.arrays, self.used = {}, arrays, set()
        for name in arrays:
            self.names.setdefault(family.place(name), name)

    def take(self, layer, leaf):
        """(name, array), or (None, None)."""
        name = self.names.get((layer.name, leaf))
        self.used.add(name)
        return name, self.arrays.get(name)


def place(model, arrays, family):
    """Set all weights of a model from arrays, or none.

    A normalisation that has no gamma here takes one that the file has by way of the linear layer before it:
    γ·(Wx + b − μ)/σ = ((γW)x + γb − γμ)/σ.

    Args:
        model: Keras model whose layers are named after the original's modules.
        arrays: dict: name → array.
        family: `families.Family`.

    Returns:
        `Placed`.

    Raises:
        ValueError: arrays are missing or have other shapes; names them.
    """
    source, layout = _Arrays(arrays, family), family.layout
    values, gammas, missing, other, new = {}, {}, [], [], []
    for layer in model.layers:
        if family.new and layer.name.startswith(family.new):
            new += [layer.name] * bool(layer.weights)
            continue
        for weight in layer.weights:
            name, array = source.take(layer, layout.leaf(weight))
            shape = layout.shape(layer, weight)
            if name is None:
                missing.append(f"{layer.name}: {layout.leaf(weight)} {list(shape)}")
            elif not _fits(array.shape, shape):
                other.append(f"{name} {list(array.shape)} instead of {list(shape)}")
            else:
                values[weight.path] = layout.to_keras(layer, weight, array.reshape(shape))
        if isinstance(layer, layers.BatchNormalization) and not layer.scale:
            gammas[layer.name] = source.take(layer, layout.leaf("gamma"))[1]
    if missing or other:
        raise ValueError("; ".join(filter(None, (_named("missing", missing), _named("of another shape", other)))))
    for layer in model.layers:
        for weight in layer.weights:
            if weight.path in values:
                weight.assign(np.asarray(values[weight.path], "float32"))
        if gammas.get(layer.name) is not None:
            _multiply(layer, np.asarray(gammas[layer.name], "float32"))
    return Placed([name for name in arrays if name not in source.used], new)


def _fits(found, expected):
    """Whether shapes are equal but for sides of 1 at the end: a 1 × 1 convolution of one pixel is a linear layer."""
    return tuple(found) == expected or tuple(found) == expected + (1, 1)


def _multiply(norm, gamma):
    linear = producer(norm)
    linear.set_weights([value * gamma for value in linear.get_weights()])
    norm.moving_mean.assign(norm.moving_mean * gamma)


def _named(what, names):
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}" if names else ""
