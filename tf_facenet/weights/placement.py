"""Arrays of a file → the weights of a network, each by its name; what does not fit is named."""

import numpy as np
from keras import layers

from tf_facenet.weights.layouts import producer

SHOWN = 4  # names in a message


def place(model, arrays, family):
    """Set all weights of a model from arrays, or none.

    A normalisation that has no gamma here takes one that the file has by way of the linear layer before it:
    γ·(Wx + b − μ)/σ = ((γW)x + γb − γμ)/σ.

    Args:
        model: Keras model whose layers are named after the original's modules.
        arrays: dict: name → array.
        family: `families.Family`.

    Returns:
        (names of arrays that are not used, names of layers that the family does not have).

    Raises:
        ValueError: arrays are missing or have other shapes; names them.
    """
    match = _Match(arrays, family)
    weighted = [layer for layer in model.layers if layer.weights]
    new = [layer.name for layer in weighted if family.new and layer.name.startswith(family.new)]
    for layer in weighted:
        if layer.name not in new:
            match.layer(layer)
    match.check()
    for weight, value in match.values:
        weight.assign(np.asarray(value, "float32"))
    for norm, gamma in match.gammas:
        _multiply(norm, np.asarray(gamma, "float32"))
    return [name for name in arrays if name not in match.used], new


class _Match:
    """Which array goes where: (weight, value) and (normalisation, gamma); and what is missing or of another shape."""

    def __init__(self, arrays, family):
        self.arrays, self.layout, self.names = arrays, family.layout, {}
        for name in arrays:
            self.names.setdefault(family.place(name), name)
        self.values, self.gammas, self.missing, self.other, self.used = [], [], [], [], set()

    def layer(self, layer):
        for weight in layer.weights:
            self._weight(layer, weight)
        gamma = self.names.get((layer.name, self.layout.leaf("gamma")))
        if gamma and isinstance(layer, layers.BatchNormalization) and not layer.scale:
            self.used.add(gamma)
            self.gammas.append((layer, self.arrays[gamma]))

    def _weight(self, layer, weight):
        leaf, shape = self.layout.leaf(weight.name), self.layout.shape(layer, weight)
        name = self.names.get((layer.name, leaf))
        if name is None:
            self.missing.append(f"{layer.name}: {leaf} {list(shape)}")
        elif self.arrays[name].shape not in (shape, (*shape, 1, 1)):  # a linear layer may be a convolution of one pixel
            self.other.append(f"{name} {list(self.arrays[name].shape)} instead of {list(shape)}")
        else:
            self.used.add(name)
            self.values.append((weight, self.layout.to_keras(layer, weight, self.arrays[name].reshape(shape))))

    def check(self):
        """Raise ValueError if anything does not fit."""
        faults = {"missing": self.missing, "of another shape": self.other}
        texts = [f"{len(names)} {what}: {', '.join(names[:SHOWN])}" + (
            f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "") for what, names in faults.items() if names]
        if texts:
            raise ValueError("; ".join(texts))


def _multiply(norm, gamma):
    """Let the linear layer before a normalisation do what its gamma would."""
    linear = producer(norm)
    linear.set_weights([value * gamma for value in linear.get_weights()])
    norm.moving_mean.assign(norm.moving_mean * gamma)
