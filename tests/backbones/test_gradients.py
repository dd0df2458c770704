"""The computed first layer: what it says of images whose slopes are known."""

import keras
import numpy as np
from keras.ops import convert_to_numpy as numpy

from tf_facenet import backbones
from tf_facenet.backbones.gradients import OrientedGradients

RANDOM = np.random.default_rng(0).normal(size=(2, 40, 40, 3)).astype("float32")


def gradients(images):
    """(slopes [B, H/2, W/2, 2 sigmas, 8 directions], colours [B, H/2, W/2, 3])."""
    maps = numpy(OrientedGradients()(images))
    return maps[..., :16].reshape(*maps.shape[:3], 2, 8), maps[..., 16:]


def test_slope_in_each_direction():
    """An image that rises by 1 a pixel to the right rises by cos 2πk/8 in the direction k, times σ, before division.

    Σ_k max(0, cos)² = 1 + ½ + ½ = 2, so that the mean square of the sixteen channels is 2 (1² + 2²) / 16. The kernels
    end at three σ, which costs a hundredth.
    """
    ramp = np.tile(np.arange(60, dtype="float32")[None, None, :, None], (1, 60, 1, 3))
    rises = np.maximum(0, np.cos(2 * np.pi * np.arange(8) / 8))
    expected = np.outer([1, 2], rises) / np.sqrt(2 * (1 + 4) / 16)
    np.testing.assert_allclose(gradients(ramp)[0][0, 15, 15], expected, rtol=0.015, atol=1e-5)


def test_the_last_channels_are_the_image_at_half_its_size():
    colors = gradients(RANDOM)[1]
    np.testing.assert_allclose(colors, RANDOM.reshape(2, 20, 2, 20, 2, 3).mean((2, 4)), atol=1e-6)


def test_strength_and_colour_of_the_light_do_not_matter():
    np.testing.assert_allclose(gradients(3 * RANDOM + [5, -1, 0])[0], gradients(RANDOM)[0], rtol=0.01)


def test_an_image_turned_by_90_degrees_has_turned_directions():
    turned = np.rot90(RANDOM, axes=(2, 1))  # what was to the right is below
    expected = np.roll(np.rot90(gradients(RANDOM)[0], axes=(2, 1)), 2, axis=-1)
    np.testing.assert_allclose(gradients(turned)[0], expected, atol=1e-4)


def test_an_image_of_one_colour_has_no_slopes_at_its_borders_either():
    np.testing.assert_allclose(gradients(np.full((1, 32, 34, 3), 7, "float32"))[0], 0, atol=2e-3)


def test_in_small(tmp_path):
    model = backbones.create("small", (32, 48), 8, gradients=True)
    assert [layer.name for layer in model.layers[1:4]] == ["standardize", "Gradients", "Conv_2a"]
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 48, 3), np.uint8)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(images)), numpy(model(images)))


def test_float32_under_any_policy():
    assert OrientedGradients(dtype="mixed_bfloat16")(RANDOM).dtype == "float32"
