"""Batch normalisation folded into the convolutions before it: the same outputs in fewer steps."""

import collections

import keras
import numpy as np
from keras import layers

from tf_facenet.backbones.blocks import Scale

# Linear layers, and the axes of their kernels that hold the output channels.
_LINEAR = {layers.Conv2D: (-1,), layers.DepthwiseConv2D: (-2, -1), layers.Dense: (-1,)}


def fold_batch_norms(model):
    """A copy of a functional model for inference, without batch normalisation.

    A convolution or dense layer with nothing but a `BatchNormalization` or a `Scale` behind it
    takes over what that does: (Wx + b)·s + t = (sW)x + (sb + t). Outputs are equal up to rounding.
    Layers keep their names; those that were folded are gone.

    Args:
        model: functional `keras.Model`; it is not changed.

    Returns:
        `keras.Model` with the same inputs and outputs.
    """
    folded = dict(_foldable(model))
    absorbed = {affine.name for affine in folded.values()}

    def clone(layer):
        config = layer.get_config()
        if layer.name in folded:
            config = {**config, "use_bias": True, "dtype": folded[layer.name].dtype_policy}
        return type(layer).from_config(config)

    def call(layer, x, *args, **kwargs):
        return x if layer.name in absorbed else layer(x, *args, **kwargs)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in model.layers:
        if layer.name in folded:
            weights = _folded_weights(layer, folded[layer.name])
            copy.get_layer(layer.name).set_weights(weights)
        elif layer.weights and layer.name not in absorbed:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _foldable(model):
    """Pairs of (name of a linear layer, the layer that is the only one to use its output)."""
    for layer, reader in sole_readers(model):
        if type(layer) in _LINEAR and layer.activation is keras.activations.linear and _is_affine(reader):
            yield layer.name, reader


def sole_readers(model):
    """Pairs of layers, each called once, where nothing but the second uses the output of the first."""
    readers = collections.defaultdict(list)
    # Layers, and what is computed between them, which a `Sequential` cannot have.
    for operation in getattr(model, "operations", model.layers):
        for node in operation._inbound_nodes:
            for tensor in node.input_tensors:
                readers[id(tensor)].append(operation)
    for tensor in model.outputs:
        readers[id(tensor)].append(None)
    once = [layer for layer in model.layers if len(layer._inbound_nodes) == 1]
    for layer in once:
        outputs = layer._inbound_nodes[0].output_tensors  # a nested model's own `output` is its inner one
        found = readers[id(outputs[0])] if len(outputs) == 1 else []
        if len(found) == 1 and found[0] in once:
            yield layer, found[0]


def _is_affine(layer):
    return isinstance(layer, (layers.BatchNormalization, Scale))


def _folded_weights(layer, affine):
    """Kernel and bias of `layer` with `affine` behind it."""
    kernel, *bias = layer.get_weights()
    bias = bias[0] if bias else 0.0
    if isinstance(affine, Scale):
        factor, offset = np.float32(affine.factor), 0.0
    else:
        values = {weight.name: np.array(value) for weight, value
                  in zip(affine.weights, affine.get_weights(), strict=True)}
        factor = values.get("gamma", 1.0) / np.sqrt(values["moving_variance"] + affine.epsilon)
        offset = values.get("beta", 0.0) - values["moving_mean"] * factor
    axes = _LINEAR[type(layer)]
    channels = [kernel.shape[axis] for axis in axes]
    factor = np.broadcast_to(factor, np.prod(channels))
    return [kernel * factor.reshape(channels), bias * factor + offset]
