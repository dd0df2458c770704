"""Less memory for more time: the maps inside residual blocks are computed again when their gradient is due.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", https://arxiv.org/abs/1604.06174. A step keeps the maps
between the blocks; those inside a block live while the block is computed, and once more while its gradient is.

Keras' own `RematScope` refuses functional networks, and a block behind `tf.recompute_grad` would move its statistics
and draw its dropout twice. Here a block is a function of its input, its weights and its state, which the second run
gets as the first one had it.
"""

import collections
import functools

import keras
import tensorflow as tf


def recompute_blocks(model):
    """Let the residual blocks of a network be computed a second time in training instead of keeping their maps.

    Only how training computes changes: layers, weights, names and files stay, and inference is as it was.

    Args:
        model: functional `keras.Model` whose layers are called once each, changed in place; call this before its first
            step is traced.

    Raises:
        ValueError: the network has no blocks.
    """
    ends = _branch_points(model)
    if not ends:
        raise ValueError(f"The network {model.name!r} has no residual blocks, so there is nothing to compute again; "
                         "leave out --remat, or take a network that has, such as iresnet50")
    starts = [model.inputs[0], *ends]
    *segments, last = [keras.Model(start, end) for start, end in zip(starts, [*ends, model.outputs[0]], strict=True)]
    model.call = functools.partial(_call, model, segments, last)


def _branch_points(model):
    """Outputs of layers that all paths go through and several layers read: where blocks begin."""
    reads = collections.Counter(id(tensor) for layer in model.layers[1:] for tensor in keras.tree.flatten(layer.input))
    points, waiting = [], 1
    for layer in model.layers[1:]:  # in the order in which they can be computed
        own = reads[id(layer.output)]
        waiting += own - len(keras.tree.flatten(layer.input))
        if waiting == own > 1:
            points.append(layer.output)
    return points


def _call(model, segments, last, inputs, training=None, mask=None):
    if not training:
        return type(model).call(model, inputs, training=training, mask=mask)
    x = tf.cast(inputs, model.inputs[0].dtype)
    for segment in segments:
        x = _recomputed(segment, x)
    return last(x, training=True)


def _recomputed(segment, x):
    """The segment's output for x; its statistics and seeds go on by one step."""
    # Not `variable.value`, which mixed precision would round here.
    weights = [tf.convert_to_tensor(variable._value) for variable in segment.trainable_variables]
    states = [tf.convert_to_tensor(variable._value) for variable in segment.non_trainable_variables]
    after = []

    @tf.custom_gradient
    def run(x, *weights):
        def gradient(upstream):
            with tf.GradientTape() as tape, tf.control_dependencies([upstream]):
                again = [_after(upstream, x), *weights]
                tape.watch(again)
                y, _ = segment.stateless_call(weights, states, again[0], training=True)
            below, *own = tape.gradient(y, again, upstream, tf.UnconnectedGradients.ZERO)
            with tf.control_dependencies(own):  # one block after the other
                return [tf.identity(below), *own]

        y, after[:] = segment.stateless_call(weights, states, x, training=True)
        return y, gradient

    y = run(x, *weights)
    for variable, before, value in zip(segment.non_trainable_variables, states, after, strict=True):
        if value is not before:
            variable.assign(value)
    return y


def _after(upstream, x):
    """The same as x, but not before the gradient is there: else the first run's maps would be found and kept.

    A dependency of numbers, since XLA forgets those of order; NaN is what keeps it from seeing that 0 is added.
    """
    number = tf.reshape(upstream, [-1])[0]
    return x + tf.cast(tf.where(tf.math.is_nan(number), number, tf.zeros_like(number)), x.dtype)
