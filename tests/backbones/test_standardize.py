import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tf_facenet.backbones.standardize import Standardize

PIXELS = np.random.RandomState(3).randint(0, 256, (5, 4, 3)).astype("uint8")


def test_per_image_is_facenets_prewhiten():
    images = np.stack([PIXELS, np.full_like(PIXELS, 90)])
    first, constant = numpy(Standardize("per_image")(images))
    np.testing.assert_allclose(first.ravel()[:3], [-.39183737, .26799859, 1.65939183], rtol=1e-6)
    np.testing.assert_array_equal(constant, 0)


def test_a_nearly_constant_image_is_divided_by_the_lower_bound():
    image = np.full((1, 5, 4, 3), 90, "float32")
    image[0, 0, 0, 0] = 90.1
    expected = (image - image.mean()) * np.sqrt(60)
    np.testing.assert_allclose(numpy(Standardize("per_image")(image)), expected, atol=1e-4)


def test_fixed_and_none():
    images = PIXELS[None]
    fixed = numpy(Standardize("fixed")(images))
    np.testing.assert_array_equal(fixed, (images.astype("float32") - 127.5) / 128)
    ends = numpy(Standardize()(np.array([0.0, 255.0]).reshape(1, 1, 1, 2)))
    assert ends.ravel().tolist() == [-0.99609375, 0.99609375]
    np.testing.assert_array_equal(numpy(Standardize("none")(images)), images)


@pytest.mark.parametrize("mode", ["fixed", "per_image"])
def test_half_precision_rounds_the_result_only(mode):
    images = PIXELS[None] + np.float32(0.3)  # more digits than bfloat16 has
    half = Standardize(mode, dtype="mixed_bfloat16")(images)
    assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"
    expected = keras.ops.cast(Standardize(mode)(images), "bfloat16")
    np.testing.assert_array_equal(
        numpy(keras.ops.cast(half, "float32")), numpy(keras.ops.cast(expected, "float32")))


def test_config():
    layer = Standardize.from_config(Standardize("per_image", name="x").get_config())
    assert (layer.mode, layer.name) == ("per_image", "x")


def test_unknown():
    with pytest.raises(ValueError, match="Unknown standardization 'tanh'. Choose one of: fixed, "):
        Standardize("tanh")
