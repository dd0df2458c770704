import keras
import numpy as np
from keras import layers
from keras.ops import convert_to_numpy as numpy

from tf_facenet.backbones.blocks import Scale
from tf_facenet.backbones.folding import fold_batch_norms, sole_readers


def randomised(model):
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.uniform(0.5, 1.5, weight.shape))
    return model


def check(model, remaining):
    x = np.random.default_rng(1).standard_normal((2, *model.input_shape[1:])).astype("float32")
    folded = fold_batch_norms(model)
    np.testing.assert_allclose(numpy(folded(x)), numpy(model(x)), rtol=1e-5, atol=1e-5)
    assert [layer.name for layer in folded.layers] == remaining


def test_each_linear_layer_with_and_without_bias_and_gamma():
    inputs = x = keras.Input((6, 5, 3), name="in")
    x = layers.Conv2D(4, 3, name="conv")(x)
    x = layers.BatchNormalization(name="conv_bn")(x)
    x = layers.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(scale=False, epsilon=0.1, name="depthwise_bn")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(3, name="dense")(x)
    x = layers.BatchNormalization(center=False, name="dense_bn")(x)
    x = layers.Dense(2, name="last")(x)
    model = randomised(keras.Model(inputs, Scale(0.3, name="scale")(x)))
    check(model, ["in", "conv", "depthwise", "flat", "dense", "last"])


def test_what_cannot_be_folded_stays():
    inputs = keras.Input((6, 5, 3), name="in")
    x = layers.BatchNormalization(name="first")(inputs)
    x = layers.Conv2D(4, 3, activation="relu", name="with_relu")(x)
    x = layers.BatchNormalization(name="after_relu")(x)
    shared = layers.Conv2D(4, 1, name="two_users")(x)
    one = layers.BatchNormalization(name="one")(shared)
    sum_ = layers.Add(name="sum")([one, shared])
    model = randomised(keras.Model(inputs, sum_))
    check(model, ["in", "first", "with_relu", "after_relu", "two_users", "one", "sum"])


def test_layers_called_twice_and_maps_that_others_read_stay():
    inputs = keras.Input((6, 5, 4), name="in")
    conv, relu = layers.Conv2D(4, 3, padding="same", name="conv"), layers.ReLU(name="relu")
    norms = [layers.BatchNormalization(name=f"norm_{i}") for i in range(2)]
    x = relu(norms[0](conv(inputs)))
    x = relu(norms[1](conv(x)))
    added = layers.Conv2D(4, 1, name="added")(x + 1)
    seen = layers.Conv2D(4, 1, name="seen")(layers.BatchNormalization(name="norm")(added) + added)
    model = keras.Model(inputs, [seen, layers.BatchNormalization(name="last")(seen)])
    assert list(sole_readers(model)) == []
    x = np.random.default_rng(1).standard_normal((2, 6, 5, 4)).astype("float32")
    for value, expected in zip(fold_batch_norms(randomised(model))(x), model(x), strict=True):
        np.testing.assert_allclose(numpy(value), numpy(expected), rtol=1e-5)


def test_nested_models_and_layers_of_several_outputs_are_passed_by():
    inner = keras.Sequential([keras.Input((6, 5, 3)), layers.Conv2D(4, 3, name="inner_conv")], name="inner")
    inputs = keras.Input((6, 5, 3), name="in")
    x = layers.Flatten(name="flat")(layers.BatchNormalization(name="norm")(inner(inputs)))
    state, *others = layers.LSTM(4, return_state=True, name="lstm")(layers.Reshape((12, 4), name="rows")(x))
    x = layers.Dense(3, name="last")(layers.Add(name="sum")([state, *others]))
    x = layers.BatchNormalization(name="last_bn")(x)
    check(randomised(keras.Model(inputs, x)), ["in", "inner", "norm", "flat", "rows", "lstm", "sum", "last"])


def test_the_folded_layer_computes_as_precisely_as_the_norm():
    inputs = keras.Input((3,), name="in", dtype="float32")
    x = layers.Dense(2, dtype="mixed_bfloat16", name="dense")(inputs)
    model = keras.Model(inputs, layers.BatchNormalization(dtype="float32", name="bn")(x))
    assert fold_batch_norms(model).get_layer("dense").compute_dtype == "float32"
