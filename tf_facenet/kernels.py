"""How layers compute on TensorFlow: batch normalisation, PReLU, bordered depthwise convolution in one operation each.

Keras composes them of up to a dozen operations that each read and write whole maps. On a CPU batch normalisation was
a fifth of a training step of Inception-ResNet-v1, PReLU took longer than the 1 × 1 convolutions of a MobileFaceNet,
and borders of zeros were a tenth of a MobileNet. Results are the same up to rounding.
"""

import functools

import keras
import tensorflow as tf

from tf_facenet.backbones.folding import sole_readers


def fuse(model):
    """Let batch normalisations, PReLUs and bordered depthwise convolutions of maps [B, H, W, C] run as one operation.

    Only how a layer computes changes: what is saved is still Keras' own layer. Layers that are
    `synchronized` over replicas when they run are computed by Keras.

    Args:
        model: `keras.Model`, changed in place; call this before its first step is traced.
    """
    for layer in model.layers:
        kernel = _KERNELS.get(type(layer))
        if kernel and len(layer.input.shape) == 4:
            layer.call = functools.partial(kernel, layer)
    for border, layer in _bordered(model):
        border.call = tf.identity
        layer.call = functools.partial(_same_depthwise, layer)


def _batch_norm(layer, inputs, training=None, mask=None):
    """TensorFlow's kernel, which reads maps twice, keeps bfloat16, and is joined with the ReLU behind it."""
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


def _prelu(layer, inputs):
    """XLA's, which reads and writes a map once."""
    if tuple(layer.alpha.shape[:2]) != (1, 1):
        return type(layer).call(layer, inputs)
    return _prelu_of(inputs, tf.convert_to_tensor(layer.alpha))


@tf.custom_gradient
def _prelu_of(x, alpha):
    """max(x, 0) + α min(x, 0) of maps [B, H, W, C] with slopes [1, 1, C]; for the gradient it keeps x alone."""
    def gradient(upstream):
        to_x, products = _prelu_gradient(x, alpha, upstream)
        # Not in XLA, which adds up on one core, nor by reduce_sum, which takes twice as long.
        sums = tf.raw_ops.BiasAddGrad(out_backprop=products)
        return to_x, tf.cast(tf.reshape(sums, tf.shape(alpha)), alpha.dtype)

    return _prelu_forward(x, alpha), gradient


@tf.function(jit_compile=True, autograph=False)
def _prelu_forward(x, alpha):
    return tf.maximum(x, 0) + alpha * tf.minimum(x, 0)


@tf.function(jit_compile=True, autograph=False)
def _prelu_gradient(x, alpha, upstream):
    """∂x, and those products [B, H, W, C], float32, whose sums are ∂α."""
    products = tf.cast(upstream, tf.float32) * tf.cast(tf.minimum(x, 0), tf.float32)
    return tf.where(x > 0, upstream, alpha * upstream), products


def _bordered(model):
    """Pairs of a `ZeroPadding2D` and the `DepthwiseConv2D` that alone uses it, where "same" is the same border."""
    for border, layer in sole_readers(model):
        if type(border) is keras.layers.ZeroPadding2D and type(layer) is keras.layers.DepthwiseConv2D:
            axes = zip(border.input.shape[1:3], border.padding, layer.kernel_size, layer.strides, strict=True)
            if layer.padding == "valid" and layer.dilation_rate == (1, 1) and all(_is_same(*axis) for axis in axes):
                yield border, layer


def _is_same(size, border, kernel, stride):
    """Whether TensorFlow's "same" puts these zeros around a map of this size."""
    if size is None:
        return False
    needed = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return border == (needed // 2, needed - needed // 2)


def _same_depthwise(layer, inputs):
    """TensorFlow's kernel, which does not store the border; a convolution over channels is joined with its own."""
    kernel = tf.convert_to_tensor(layer.kernel)
    outputs = tf.nn.depthwise_conv2d(inputs, kernel, [1, *layer.strides, 1], "SAME")
    return layer.activation(tf.nn.bias_add(outputs, layer.bias) if layer.use_bias else outputs)


_KERNELS = {keras.layers.BatchNormalization: _batch_norm, keras.layers.PReLU: _prelu}
