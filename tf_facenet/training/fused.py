"""Batch normalisation by TensorFlow's own kernel.

Keras composes batch normalisation of a dozen operations that each read and write whole maps; on a
CPU they are about a fifth of a training step of Inception-ResNet-v1. TensorFlow's kernel reads maps
twice, keeps bfloat16 maps as they are, and is joined with the ReLU behind it. The results are the
same up to rounding.
"""

import functools

import keras
import tensorflow as tf


def fuse_batch_norms(model):
    """Let the batch normalisation of maps [B, H, W, C] run as one operation.

    Only how a layer computes changes: what is saved is still Keras' own layer. Layers that are
    `synchronized` over replicas when they run are computed by Keras.

    Args:
        model: `keras.Model`, changed in place; call this before its first step is traced.
    """
    for layer in model.layers:
        if type(layer) is keras.layers.BatchNormalization and len(layer.input.shape) == 4:
            layer.call = functools.partial(_call, layer)


def _call(layer, inputs, training=None, mask=None):
    if layer.synchronized or layer.renorm or mask is not None or layer.axis != -1:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    batch_statistics = bool(training and layer.trainable)
    zeros = tf.zeros_like(layer.moving_mean.value)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=layer.gamma.value if layer.scale else tf.ones_like(zeros),
        offset=layer.beta.value if layer.center else zeros,
        mean=[] if batch_statistics else layer.moving_mean.value,
        variance=[] if batch_statistics else layer.moving_variance.value,
        epsilon=layer.epsilon, is_training=batch_statistics)
    if batch_statistics:
        count = tf.cast(tf.size(inputs) / tf.size(mean), mean.dtype)
        _follow(layer.moving_mean, mean, layer.momentum)
        # The kernel gives n/(n − 1) of the variance that Keras takes.
        _follow(layer.moving_variance, variance * (count - 1) / count, layer.momentum)
    return outputs


def _follow(moving, value, momentum):
    moving.assign(moving * momentum + value * (1 - momentum))
