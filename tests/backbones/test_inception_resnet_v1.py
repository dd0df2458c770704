"""Against facenet on TensorFlow 1.7 and facenet-pytorch, with weights drawn by rule."""

import csv
import zlib

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tests import facenet_weights
from tf_facenet import backbones

IMAGES = np.random.RandomState(0).uniform(-1, 1, (2, 160, 160, 3)).astype("float32")
ENDPOINTS = {  # layer: mean and standard deviation
    "Conv2d_1a_3x3_Relu": (.3520578, .5285290),
    "Conv2d_2b_3x3_Relu": (.4502136, .6217595),
    "MaxPool_3a_3x3": (1.2452511, .8028525),
    "Conv2d_4a_3x3_Relu": (.8618155, 1.3160962),
    "Conv2d_4b_3x3_Relu": (.9006316, 1.3398361),
    "Repeat_block35_5_Relu": (1.1627170, 1.3637651),
    "Mixed_6a": (1.3241606, 1.7024190),
    "Repeat_1_block17_10_Relu": (1.5932399, 1.6534501),
    "Mixed_7a": (1.8014768, 2.0717340),
    "Repeat_2_block8_5_Relu": (2.2691581, 2.2674212),
    "Block8_add": (2.3536363, 5.0127854),
}


@pytest.fixture(scope="module")
def v1():
    """512-d, weights by rule."""
    model = backbones.create("models.inception_resnet_v1", 160, 512, standardization="none")
    facenet_weights.fill(model)
    return model


def check_features(features, start, norms, unit_start, distance):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(features[0, :4], start, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), norms, rtol=1e-4)
    np.testing.assert_allclose(unit[0, :4], unit_start, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(unit[0] - unit[1]), distance, rtol=1e-4)


def decay(model):
    kernels = [numpy(w) for w in model.trainable_weights if w.name == "kernel"]
    assert len(kernels) == 133
    return 5e-4 / 2 * sum(np.square(kernel, dtype="float64").sum() for kernel in kernels)


def test_every_layer_and_the_features_are_those_of_facenet(v1):
    outputs = [v1.get_layer(name).output for name in ENDPOINTS]
    *maps, features = keras.Model(v1.input, [*outputs, v1.output]).predict(IMAGES, verbose=0)
    for (name, expected), values in zip(ENDPOINTS.items(), maps, strict=True):
        np.testing.assert_allclose((values.mean(), values.std()), expected, rtol=1e-4,
                                   err_msg=name)
    check_features(features, [-1.546448, -7.857403, -7.299131, 1.550765], [181.052032, 184.489090],
                   [-.00854146, -.04339859, -.04031510, .00856530], .05915096)


def test_128_features():
    model = backbones.create("inception_resnet_v1", 160, 128, standardization="none")
    facenet_weights.fill(model)
    check_features(model.predict(IMAGES, verbose=0), [-2.082380, 9.752278, 15.460642, 4.970753],
                   [90.527679, 91.075089], [-.02300269, .10772704, .17078361, .05490866], .05975962)
    assert model.count_params() == 22_808_144
    np.testing.assert_allclose(decay(model), 17.706400, rtol=1e-5)


def test_parameters(v1):
    assert sum(np.prod(weight.shape) for weight in v1.trainable_weights) == 23_467_824
    assert v1.count_params() == 23_497_424
    np.testing.assert_allclose(decay(v1), 17.897982, rtol=1e-5)
    assert len(v1.weights) == 490


def test_hyperparameters_are_facenets(v1):
    norms = [x for x in v1.layers if isinstance(x, keras.layers.BatchNormalization)]
    settings = {(x.momentum, x.epsilon, x.center, x.scale) for x in norms}
    assert settings == {(0.995, 1e-3, True, False)}
    convs = [x for x in v1.layers if isinstance(x, keras.layers.Conv2D)]
    assert {type(x.kernel_initializer).__name__ for x in convs} == {"GlorotUniform"}
    scales = [x.factor for x in v1.layers if x.name.endswith("_Scale")]
    assert scales == [.17] * 5 + [.1] * 10 + [.2] * 5 + [1.0]
    model = backbones.create("inception_resnet_v1", 75, 8, keep_probability=0.4)
    assert model.get_layer("Dropout").rate == 0.6
    assert model.get_layer("Block8_add").output.shape == (None, 1, 1, 1792)


def pytorch_state(rows):
    """facenet-pytorch's parameters by the rule of the recording."""
    for key, shape in ((row["facenet_pytorch_key"], row["pytorch_shape"]) for row in rows):
        shape = tuple(map(int, shape.split("x")))
        noise = np.random.default_rng(zlib.crc32(f"0:{key}".encode())).standard_normal(shape)
        if key.endswith(("running_mean", ".bias")):
            values = 0.1 * noise
        elif key.endswith("running_var"):
            values = 1 + 0.2 * np.abs(noise)
        elif len(shape) == 1:
            values = 1 + 0.1 * noise
        else:
            values = noise * np.sqrt(2 / np.prod(shape[1:]))
        yield key, values.astype("float32")


def gamma(state, key):
    """What a value must be multiplied by if there is to be no gamma."""
    norm = key.replace(".conv.weight", ".bn.weight").replace("last_linear", "last_bn")
    norm = norm.replace("running_mean", "weight")
    return np.float32(1) if norm == key else state[norm]


def test_facenet_pytorch(v1, shared):
    """Its output through the weight map; its gamma, which facenet lacks, goes into the kernel."""
    with open(shared / "reference/facenet_weight_map.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    state = dict(pytorch_state(rows))
    variables = {facenet_weights.variable_name(layer, weight): weight
                 for layer in v1.layers if layer.name != "Dropout" for weight in layer.weights}
    axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
    for row in rows:
        if row["tf_variable"].startswith("Inception"):
            values = state[row["facenet_pytorch_key"]]
            values = values.transpose(axes[values.ndim]) * gamma(state, row["facenet_pytorch_key"])
            variables.pop(row["tf_variable"]).assign(values)
    assert not variables
    recorded = np.load(shared / "reference/backbones.npz")
    features = v1.predict(recorded["inception_resnet_v1_l2normalised/images"], verbose=0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = recorded["inception_resnet_v1_l2normalised/embeddings"]
    np.testing.assert_allclose(unit, expected, atol=1e-4 * np.abs(expected).max())
