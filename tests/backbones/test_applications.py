"""Networks of keras.applications by name."""

import functools

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tf_facenet import backbones
from tf_facenet.backbones.applications import PREPROCESSING
from tf_facenet.backbones.blocks import Blocks
from tf_facenet.backbones.necks import NECKS

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), np.uint8)
SMALL = "keras:MobileNetV3Small"


def test_necks():
    """Each neck by itself; a neck of an application is the table's."""
    map_ = np.random.default_rng(1).standard_normal((2, 3, 2, 4)).astype("float32")
    x = keras.Input((3, 2, 4))
    ends = {name: keras.Model(x, neck(Blocks.create("necks", {}), x)) for name, neck in NECKS.items()}
    np.testing.assert_allclose(numpy(ends["pool"](map_)), map_.mean((1, 2)), rtol=1e-5)
    scale = 1 / np.sqrt(1.001)  # of a new batch normalisation
    np.testing.assert_allclose(numpy(ends["flatten_bn"](map_)), map_.reshape(2, -1) * scale, rtol=1e-5)
    kernel = numpy(ends["gdc"].get_layer("GDC").kernel)[..., 0]
    np.testing.assert_allclose(numpy(ends["gdc"](map_)), (map_ * kernel).sum((1, 2)) * scale, rtol=1e-5, atol=1e-6)


def test_a_neck_and_a_reload(tmp_path):
    model = backbones.create("keras:MobileNet", 32, 5, neck="flatten_bn", alpha=0.25)
    assert model.get_layer("Bottleneck").input.shape == (None, 256)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert {x.momentum for x in norms} == {0.995}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    features = numpy(model(IMAGES[:, :32, :32]))
    assert (features.shape, features.dtype) == ((2, 5), np.float32)
    np.testing.assert_array_equal(numpy(loaded(IMAGES[:, :32, :32])), features)


def test_the_map_is_that_of_the_application():
    """Pixels are standardised once, and nothing is lost on the way from Keras' network to ours."""
    keras.utils.set_random_seed(0)
    model = backbones.create(SMALL, (64, 48), 5, neck="pool", alpha=0.5)
    original = keras.applications.MobileNetV3Small(
        (64, 48, 3), alpha=0.5, include_top=False, weights=None, include_preprocessing=False)
    original.set_weights(model.get_weights()[:-4])  # without the bottleneck's
    expected = numpy(original((IMAGES - np.float32(127.5)) / 128))
    pooled = keras.Model(model.input, model.get_layer("Pool").output)
    np.testing.assert_allclose(numpy(pooled(IMAGES)), expected.mean((1, 2)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["EfficientNetB0", "ConvNeXtTiny"])
def test_others(name):
    """One that cannot be asked to leave its preprocessing out, and one of nested models."""
    model = backbones.create(f"keras:{name}", 64, 8, neck="pool")
    assert (model.output_shape, model.output.dtype) == ((None, 8), "float32")
    assert not any(isinstance(layer, PREPROCESSING) for layer in model.layers)
    assert model.layers[1].name == "standardize"


def count(model, kind):
    return sum(isinstance(layer, kind) for layer in model.layers)


@pytest.mark.parametrize(("name", "activations", "gates"), [  # MobileNetV3's gates are ReLUs themselves
    ("keras:ConvNeXtTiny", 18, 0), ("keras:EfficientNetV2B0", 55, 0), (SMALL, 32, 9), ("keras:VGG16", 13, 0),
    ("mobilenet_v1", 27, 0)])
def test_activation(name, activations, gates):
    model = backbones.create(name, 64, 8, neck="pool", activation="prelu")
    assert (count(model, keras.layers.PReLU), count(model, keras.layers.ReLU)) == (activations, gates)


@pytest.mark.parametrize(("name", "activation"), [("EfficientNetB0", "swish"), ("VGG16", "relu")])
def test_the_usual_activation_changes_nothing(name, activation):
    usual = backbones.create(f"keras:{name}", 32, 8, neck="pool")
    model = backbones.create(f"keras:{name}", 32, 8, neck="pool", activation=activation)
    model.set_weights(usual.get_weights())
    np.testing.assert_array_equal(numpy(model(IMAGES[:, :32, :32])), numpy(usual(IMAGES[:, :32, :32])))


def depth(tensor):
    """Length of the longest way from the pixels to there."""
    @functools.cache
    def longest(operation):
        inputs = [x._keras_history.operation for x in keras.tree.flatten(operation.input)]
        return 1 + max((longest(x) for x in inputs if x is not operation), default=0)

    return longest(tensor._keras_history.operation)


@pytest.mark.parametrize(("name", "sums"), [
    ("EfficientNetB0", 9), ("MobileNetV2", 10), ("MobileNetV3Small", 6), ("ResNet50", 16), ("ResNet50V2", 16),
    ("Xception", 12)])
def test_drop_path(name, sums):
    """The rates rise from 0; what is left out is the block, never its shortcut."""
    model = backbones.create(f"keras:{name}", 96, 8, neck="pool", drop_path=0.3)
    drops = [layer for layer in model.layers if getattr(layer, "noise_shape", None)]
    np.testing.assert_allclose([layer.rate for layer in drops], np.linspace(0, 0.3, sums)[1:])
    adds = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)][1:]
    for drop, add in zip(drops, adds, strict=True):
        shortcut, block = add.input
        assert block._keras_history.operation is drop
        assert depth(block) > depth(shortcut) + 1


def test_drop_path_where_sums_are_no_layers():
    model = backbones.create("keras:ConvNeXtTiny", 32, 8, neck="pool", drop_path=0.3)
    drops = [layer for layer in model.layers if getattr(layer, "noise_shape", None)]
    np.testing.assert_allclose([layer.rate for layer in drops], np.linspace(0, 0.3, 18)[1:])
    assert not any(layer.name.endswith("_identity") for layer in model.layers)


def test_drop_path_of_the_network_itself():
    rates = [layer.rate for layer in backbones.create("keras:EfficientNetB0", 32, 8, neck="pool").layers
             if getattr(layer, "noise_shape", None)]
    assert (len(rates), max(rates)) == (9, pytest.approx(0.2 * 14 / 16))


@pytest.mark.parametrize(("name", "options", "message"), [
    ("keras:EfficientNetV2", {}, "keras.applications has no 'EfficientNetV2'. Choose one of: EfficientNetV2S, "),
    ("keras:", {}, "keras.applications has no ''. Choose one of: ConvNeXtBase, "),
    ("keras:Model", {}, "keras.applications has no 'Model'"),
    (SMALL, {"neck": "flat"}, "Unknown neck 'flat'. Choose one of: flatten_bn, gdc, pool"),
    (SMALL, {"window": 7}, f"Backbone '{SMALL}' takes no 'window'; it takes activation, alpha, drop_path, epsil"),
    (SMALL, {"weights": "imagenet"}, "takes no 'weights'"),
    (SMALL, {"alpha": "wide"}, "cannot build MobileNetV3Small for images of 48 pixels with options {.*'wide'"),
    ("keras:VGG16", {"neck": "gdc", "alpha": 1}, "'keras:VGG16' takes no 'alpha'; it takes activation, epsilon"),
    ("keras:NASNetMobile", {"drop_path": 0.1}, "takes no 'drop_path'; it takes activation, epsilon, momentum, neck"),
    ("keras:ResNet50", {"drop_path": 1}, "drop_path is 1; expected at least 0, less than 1"),
    ("keras:InceptionV3", {}, "keras.applications cannot build InceptionV3 for images of 48 pixels"),
])
def test_mistakes(name, options, message):
    with pytest.raises(ValueError, match=message):
        backbones.create(name, 48, 8, **options)
