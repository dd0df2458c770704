"""Networks of keras.applications by name."""

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


@pytest.mark.parametrize(("name", "options", "message"), [
    ("keras:EfficientNetV2", {}, "keras.applications has no 'EfficientNetV2'. Choose one of: EfficientNetV2S, "),
    ("keras:", {}, "keras.applications has no ''. Choose one of: ConvNeXtBase, "),
    ("keras:Model", {}, "keras.applications has no 'Model'"),
    (SMALL, {"neck": "flat"}, "Unknown neck 'flat'. Choose one of: flatten_bn, gdc, pool"),
    (SMALL, {"window": 7}, f"Backbone '{SMALL}' takes no 'window'; it takes alpha, epsilon, minimalistic, momentum"),
    (SMALL, {"weights": "imagenet"}, "takes no 'weights'"),
    (SMALL, {"alpha": "wide"}, "cannot build MobileNetV3Small for images of 48 pixels with options {.*'wide'"),
    ("keras:VGG16", {"neck": "gdc", "alpha": 1}, "'keras:VGG16' takes no 'alpha'; it takes epsilon, momentum, neck"),
    ("keras:InceptionV3", {}, "keras.applications cannot build InceptionV3 for images of 48 pixels"),
])
def test_mistakes(name, options, message):
    with pytest.raises(ValueError, match=message):
        backbones.create(name, 48, 8, **options)
