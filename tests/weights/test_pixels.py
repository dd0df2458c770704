"""A network for standardised images becomes one for RGB 0..255 that gives the same."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_facenet.backbones import blocks
from tf_facenet.weights import pixels

RNG = np.random.default_rng(4)
IMAGES = RNG.integers(0, 256, (2, 8, 8, 3)).astype("float32")


def network(standardization, padding="same", use_bias=False):
    images, x = blocks.pixels(8, standardization, 1)
    x = layers.Conv2D(4, 3, 2, padding, use_bias=use_bias, bias_initializer="normal")(x)
    return keras.Model(images, layers.Dense(3)(layers.Flatten()(layers.ReLU()(x))))


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize(("standardization", "mean", "deviation"), [
    ("fixed", 127.5, 128), ("insightface", 127.5, 127.5), ("none", 0, 1),
    ("imagenet", 255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225]))])
def test_same_features(standardization, mean, deviation, order):
    options = {"padding": "valid", "use_bias": True} if standardization == "imagenet" else {}
    original, own = network("none", **options), network(pixels.own(standardization), **options)
    own.set_weights(original.get_weights())
    pixels.absorb(own, standardization, order)
    fed = (IMAGES[..., ::-1] if order == "BGR" else IMAGES) - mean
    expected = original((fed / deviation).astype("float32"))
    np.testing.assert_allclose(own(IMAGES), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(pixels.standardised(IMAGES, standardization, order), fed / deviation, atol=1e-4)


def test_per_image_is_left_to_the_network():
    assert pixels.own("per_image") == "per_image"
    values = pixels.standardised(IMAGES, "per_image", "RGB")
    np.testing.assert_allclose(values.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=(1, 2, 3)), 1, atol=1e-5)


def test_a_shift_that_cannot_be_absorbed():
    with pytest.raises(ValueError, match="'imagenet' does not fit .* a border of zeros. Choose one of: fixed, insight"):
        pixels.absorb(network("fixed"), "imagenet", "RGB")


def test_unknown_names():
    with pytest.raises(ValueError, match="Unknown standardization 'caffe'. Choose one of: fixed, imagenet, insight"):
        pixels.own("caffe")
    with pytest.raises(ValueError, match="Unknown color order 'GRB'. Choose one of: BGR, RGB"):
        pixels.absorb(network("fixed"), "fixed", "GRB")
