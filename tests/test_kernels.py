import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.ops import convert_to_numpy as numpy

from tf_facenet.kernels import fuse, warm_up

IMAGES = np.random.default_rng(0).standard_normal((4, 6, 5, 3)).astype("float32") * 3 + 1


def network(**kwargs):
    inputs = keras.Input((6, 5, 3))
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9, name="bn", **kwargs)(x))
    x = layers.BatchNormalization(name="flat_bn")(layers.Flatten()(x))
    return keras.Model(inputs, x)


def with_prelu(**kwargs):
    inputs = keras.Input((6, 5, 3))
    x = layers.PReLU("glorot_uniform", shared_axes=[1, 2], name="prelu", **kwargs)(layers.Conv2D(4, 3)(inputs))
    return keras.Model(inputs, layers.PReLU(name="flat_prelu")(layers.Flatten()(x)))


def with_border(size=(8, 6), border=((0, 1), (0, 1)), kernel=3, strides=2, **kwargs):
    inputs = keras.Input((*size, 3))
    x = layers.ZeroPadding2D(border)(layers.Conv2D(4, 1)(inputs))
    return keras.Model(inputs, layers.DepthwiseConv2D(kernel, strides, name="depthwise", **kwargs)(x))


def pair(network=network, **kwargs):
    plain, fused = network(**kwargs), network(**kwargs)
    random = np.random.default_rng(1)
    fused.set_weights([random.uniform(0.5, 1.5, w.shape) for w in fused.get_weights()])
    plain.set_weights(fused.get_weights())
    fuse(fused)
    return plain, fused


def operations(model):
    images = np.resize(IMAGES, (4, *model.input_shape[1:]))
    return tf.function(functools.partial(model, training=True)).get_concrete_function(images).graph.get_operations()


def step(model, training=True):
    """Outputs, gradients and weights after two steps."""
    images = np.resize(IMAGES, (4, *model.input_shape[1:]))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            outputs = model(images, training=training)
            loss = tf.reduce_mean(tf.abs(outputs - 0.3))
        values = [weight.value for weight in model.trainable_weights]
        return outputs, tape.gradient(loss, values)

    gradients()
    outputs, values = gradients()
    return [numpy(value) for value in (outputs, *values, *model.weights)]


def test_prelu_as_keras_computes_it():
    plain, fused = pair(with_prelu)
    for expected, value in zip(step(plain), step(fused), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_prelu_at_known_points():
    model = keras.Sequential([keras.Input((1, 3, 2)), layers.PReLU(shared_axes=[1, 2])])
    model.layers[0].set_weights([np.float32([[[0.5, 2.0]]])])
    fuse(model)
    x = tf.constant([[[[-2.0, -2.0], [0.0, 0.0], [3.0, 3.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = model(x)
    to_x, to_alpha = tape.gradient(y, [x, model.layers[0].alpha.value])
    np.testing.assert_array_equal(y[0, 0], [[-1, -4], [0, 0], [3, 3]])
    np.testing.assert_array_equal(to_x[0, 0], [[0.5, 2], [0.5, 2], [1, 1]])  # at 0 the slope of the left
    np.testing.assert_array_equal(to_alpha[0, 0], [-2, -2])


@pytest.mark.parametrize("kwargs", [
    {}, {"use_bias": False, "activation": "relu"}, {"depth_multiplier": 2}, {"border": 1, "strides": 1},
    {"border": ((0, 1), (1, 1)), "size": (8, 7)}, {"border": 2, "kernel": 5, "size": (7, 5)}], ids=str)
def test_a_border_is_part_of_the_depthwise_convolution(kwargs):
    """TensorFlow's "same" puts a row of zeros behind 8 rows, and one on each side of 7."""
    plain, fused = pair(with_border, **kwargs)
    for expected, value in zip(step(plain), step(fused), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    sources = [next(each.inputs[0].op.type for each in operations(model) if each.type == "DepthwiseConv2dNative")
               for model in (plain, fused)]
    assert sources == ["Pad", "Identity"]


@pytest.mark.parametrize("kwargs", [
    {"size": (None, 6)}, {"size": (7, 6)}, {"border": 1}, {"padding": "same"}, {"strides": 1, "dilation_rate": 2}],
    ids=str)
def test_a_border_stays_where_same_has_another(kwargs):
    _, fused = pair(with_border, **kwargs)
    assert "call" not in vars(fused.get_layer("depthwise"))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kwargs", [
    {}, {"scale": False}, {"center": False, "epsilon": 0.1}, {"synchronized": True}], ids=str)
def test_as_keras_computes_it(kwargs, training):
    plain, fused = pair(**kwargs)
    for expected, value in zip(step(plain, training), step(fused, training), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


def test_a_frozen_layer_keeps_its_statistics():
    plain, fused = pair()
    plain.get_layer("bn").trainable = fused.get_layer("bn").trainable = False
    before = fused.get_layer("bn").get_weights()
    for expected, value in zip(step(plain), step(fused), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    for value, old in zip(fused.get_layer("bn").get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


def test_half_precision_stays_half():
    for expected, value in zip(*map(step, pair(with_prelu, dtype="mixed_bfloat16")), strict=True):
        np.testing.assert_allclose(value, expected, rtol=0.05, atol=0.05)
    plain, fused = pair(dtype="mixed_bfloat16")
    assert fused.get_layer("bn")(tf.constant(IMAGES[..., :1].repeat(4, -1))).dtype == tf.bfloat16
    for expected, value in zip(step(plain), step(fused), strict=True):
        np.testing.assert_allclose(value, expected, rtol=0.05, atol=0.05)


def test_only_one_operation_is_left():
    _, fused = pair()
    kinds = [operation.type for operation in operations(fused)]
    assert kinds.count("FusedBatchNormV3") == 1  # flat_bn is Keras' own
    assert kinds.count("SquaredDifference") == 1


def test_saved_as_keras_own_layer(tmp_path):
    _, fused = pair()
    fused.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert "call" not in vars(loaded.get_layer("bn"))
    np.testing.assert_allclose(numpy(loaded(IMAGES)), numpy(fused(IMAGES)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("noise_shape", [None, (None, 1, 1, 1)], ids=["dropout", "drop path"])
def test_dropout_has_the_same_masks_under_xla(noise_shape):
    """TensorFlow 2.21 draws other uniform numbers of a seed where XLA compiles, and Keras' own layer gives other masks.

    So it does with alg="philox", too: XLA makes its numbers of other bits. Whole random integers are the same.
    """
    images = keras.Input((6, 6, 4))
    layer = keras.layers.Dropout(0.4, noise_shape=noise_shape, seed=7)
    model, ones = keras.Model(images, layer(images)), tf.ones([32, 6, 6, 4])

    def masks(jit):
        layer.seed_generator.state.assign([3, 7])
        return tf.function(lambda images: model(images, training=True), jit_compile=jit, autograph=False)(ones).numpy()

    own = masks(jit=False)
    fuse(model)
    np.testing.assert_array_equal(masks(jit=False), own)  # runs of before go on as they would have
    np.testing.assert_array_equal(masks(jit=True), own)
    np.testing.assert_allclose(np.unique(own), [0, 1 / 0.6])


def test_the_momentum_of_statistics_grows():
    """After steps t = 0, 1 with batches of mean 2 and 6: 2 · 9/10, then (2 · 2/11 + 9/11 · 6)."""
    inputs = keras.Input((1, 1, 1))
    layer = layers.BatchNormalization(momentum=0.995)
    model, step = keras.Model(inputs, layer(inputs)), keras.Variable(0, dtype="int32")
    fuse(model)
    warm_up(model, step)
    seen = []
    for pair in ([1.0, 3.0], [4.0, 8.0]):
        model(tf.reshape(pair, [2, 1, 1, 1]), training=True)
        seen.append((float(layer.moving_mean[0]), float(layer.moving_variance[0])))
        step.assign(step + 1)
    assert seen[0] == pytest.approx((0.9 * 2, 0.1 * 1 + 0.9 * 1))
    assert seen[1] == pytest.approx((2 / 11 * 1.8 + 9 / 11 * 6, 2 / 11 * 1 + 9 / 11 * 4))
    step.assign(1_000_000)  # later it is the layer's own
    model(tf.zeros([2, 1, 1, 1]), training=True)
    assert float(layer.moving_mean[0]) == pytest.approx(0.995 * seen[1][0])
