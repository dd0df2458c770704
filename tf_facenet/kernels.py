"""How layers compute on TensorFlow: batch normalisation, PReLU, bordered depthwise convolution, dropout.

Keras composes the first three of up to a dozen operations that each read and write whole maps. On a CPU batch
normalisation was a fifth of a training step of Inception-ResNet-v1, PReLU took longer than the 1 × 1 convolutions of a
MobileFaceNet, and borders of zeros were a tenth of a MobileNet. Results are the same up to rounding.
"""

import functools

import keras
import tensorflow as tf

from tf_facenet.backbones.folding import sole_readers

_MIX = 0x02461E293EC8F720  # the key with which TensorFlow makes key and counter of a seed
_MANTISSA, _ONE = 0x007FFFFF, 0x3F800000  # the digits of a float32, and 1.0


def fuse(model):
    """Let batch normalisations, PReLUs and bordered depthwise convolutions of maps [B, H, W, C] run as one operation.

    Only how a layer computes changes: what is saved is still Keras' own layer. Of a batch normalisation that is
    `synchronized`, the replicas exchange one message a layer forward and one backward.

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
    for layer in model._flatten_layers():  # those of nested models too
        kernel = _OF_ANY_RANK.get(type(layer))
        if kernel:
            layer.call = functools.partial(kernel, layer)


def warm_up(model, step):
    """Let the momentum of batch normalisations grow: min(m, (1 + t) / (10 + t)), as that of averaged weights does.

    With a constant m the statistics keep m^t of what they are before the first step, mean 0 and variance 1: of 0.995
    that is 22 % after 300 steps.

    Args:
        model: `keras.Model` that `fuse` has changed.
        step: variable, t = 0 in the first step.
    """
    for layer in model._flatten_layers():
        if type(layer) is keras.layers.BatchNormalization:
            layer.call = functools.partial(layer.call, step=step)


def _batch_norm(layer, inputs, training=None, mask=None, step=None):
    """TensorFlow's kernel, which reads maps twice, keeps bfloat16, and is joined with the ReLU behind it."""
    rank = len(inputs.shape)
    if layer.renorm or mask is not None or layer.axis % rank != rank - 1:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    if not (training and layer.trainable):
        return _fused(layer, inputs)[0] if rank == 4 else type(layer).call(layer, inputs)
    normalise = _normalised if layer.synchronized or rank != 4 else _fused_by_batch
    outputs, mean, variance = normalise(layer, inputs)
    momentum = layer.momentum
    if step is not None:
        past = tf.cast(step.value, mean.dtype)
        momentum = tf.minimum(tf.cast(momentum, mean.dtype), (1 + past) / (10 + past))
    _follow(layer.moving_mean, mean, momentum)
    _follow(layer.moving_variance, variance, momentum)
    return outputs


def _fused(layer, inputs, of_batch=False):
    ones, zeros = tf.ones_like(layer.moving_mean.value), tf.zeros_like(layer.moving_mean.value)
    return tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=layer.gamma.value if layer.scale else ones, offset=layer.beta.value if layer.center else zeros,
        mean=[] if of_batch else layer.moving_mean.value, variance=[] if of_batch else layer.moving_variance.value,
        epsilon=layer.epsilon, is_training=of_batch)


def _fused_by_batch(layer, inputs):
    outputs, mean, variance, *_ = _fused(layer, inputs, of_batch=True)
    count = tf.cast(tf.size(inputs) / tf.size(mean), mean.dtype)
    return outputs, mean, variance * (count - 1) / count  # the kernel gives n/(n − 1) of the variance that Keras takes


def _normalised(layer, inputs):
    """As Keras composes it, but with the means and squares of all channels in one message of the replicas."""
    x = tf.cast(inputs, tf.float32)
    mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
    if layer.synchronized:
        # Distances from what all know already, which is near the mean, so that no digits cancel.
        context, known = tf.distribute.get_replica_context(), tf.stop_gradient(layer.moving_mean.value)
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stack([mean, variance + tf.square(mean - known)]))
        mean, square = tf.unstack(sums / context.num_replicas_in_sync)
        variance = tf.maximum(square - tf.square(mean - known), 0)
    outputs = tf.nn.batch_normalization(
        x, mean, variance, layer.beta.value if layer.center else None, layer.gamma.value if layer.scale else None,
        layer.epsilon)
    return tf.cast(outputs, layer.compute_dtype), mean, variance


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


def _dropout(layer, inputs, training=False):
    """Keras' masks, by operations whose bits XLA repeats; its own uniform numbers of a seed are others."""
    if not (training and layer.rate):
        return inputs
    shape = tf.shape(inputs)
    if layer.noise_shape:
        shape = tf.stack([tf.shape(inputs)[axis] if size is None else size
                          for axis, size in enumerate(layer.noise_shape)])
    kept = tf.cast(_uniform(shape, layer.seed_generator.next()) >= layer.rate, inputs.dtype)
    return inputs * kept / (1 - layer.rate)


def _uniform(shape, seed):
    """float32 in [0, 1): what tf.random.stateless_uniform(shape, seed, alg="philox") gives on a CPU without XLA."""
    seed = tf.math.floormod(seed, tf.int32.max - 1)  # as Keras does
    mixed = tf.reshape(_bits([4], tf.constant([_MIX], tf.uint64), tf.cast(seed, tf.uint64)), [2, 2])
    key, counter = tf.unstack(tf.bitcast(mixed, tf.uint64))
    bits = _bits(shape, key[None], tf.stack([tf.zeros([], tf.uint64), counter]))
    digits = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(bits, _MANTISSA), _ONE)  # the float 1.b
    return tf.bitcast(digits, tf.float32) - 1


def _bits(shape, key, counter):
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=shape, key=key, counter=counter, dtype=tf.uint32, alg=tf.random.Algorithm.PHILOX.value)


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


_KERNELS = {keras.layers.PReLU: _prelu}
_OF_ANY_RANK = {keras.layers.BatchNormalization: _batch_norm, keras.layers.Dropout: _dropout}
