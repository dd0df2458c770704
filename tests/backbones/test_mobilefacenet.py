"""Against the originals on PyTorch, with weights drawn by rule."""

import json

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tests import torch_weights
from tf_facenet import backbones
from tf_facenet.backbones.torch_blocks import PairConvolution

IMAGES = np.random.RandomState(0).uniform(-1, 1, (2, 112, 112, 3)).astype("float32")


def filled(name, image_size, embedding_size):
    model = backbones.create(name, image_size, embedding_size, standardization="none")
    return model, torch_weights.fill(model)


@pytest.fixture(scope="module")
def mbf():
    return filled("mbf", 112, 512)


def parameters(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_mbf_numbers_of_the_reference(mbf):
    """Recorded here after the whole output had been equal to the reference's."""
    features = numpy(mbf[0](IMAGES))
    np.testing.assert_allclose(
        features[0, :6], [392.86234, -1499.68933, -388.0387, -128.98759, 1037.71069, -335.24237], rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), [15066.9395, 15841.9238], rtol=1e-4)
    assert parameters(mbf[0]) == 2_059_520


def test_every_feature_of_mbf_is_that_of_the_reference(mbf, shared):
    model, entries = mbf
    stored = json.loads((shared / "reference/backbones.json").read_text())["mbf"]["parameters"]
    assert entries == {key: tuple(shape) for key, shape in stored.items() if "num_batches" not in key}
    recorded = np.load(shared / "reference/backbones.npz")
    features, expected = numpy(model(recorded["mbf/images"])), recorded["mbf/embeddings"]
    np.testing.assert_allclose(features, expected, atol=1e-4 * np.abs(expected).max())


def test_mobilefacenet():
    """Recorded here after its embeddings of real faces, with trained weights, had been equal to the original's."""
    model, entries = filled("mobilefacenet", (112, 96), 128)
    features = numpy(model(IMAGES[:, :, :96]))
    np.testing.assert_allclose(
        features[0, :6], [-427.20877, 519.22852, -126.45821, -110.88084, 507.32016, 28.89061], rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), [3318.9231, 3323.6919], rtol=1e-4)
    assert parameters(model) == 999_552
    assert entries["linear7.conv.weight"] == (512, 1, 7, 6)
    assert entries["blocks.14.conv.7.running_var"] == (128,)


@pytest.mark.parametrize("name", ["mbf", "mobilefacenet"])
def test_first_kernels_are_as_large_as_the_originals(name):
    """Kaiming's normal distribution by fan-out, √(2 / (h·w·C)) for C outputs, in groups or not."""
    model = backbones.create(name, 112, 128)
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, PairConvolution)):
            height, width, *_ = layer.kernel.shape
            expected = np.sqrt(2 / (height * width * layer.output.shape[-1]))
            assert numpy(layer.kernel).std() == pytest.approx(expected, rel=0.15), layer.name


def test_large():
    model = backbones.create("mbf", 112, 512, large=True, keep_probability=0.75)
    assert parameters(model) == 6_314_880
    assert model.get_layer("dropout").rate == 0.25
    assert model.get_layer("layers_1_layers_1_layers_2_layers_1_add").output.shape == (None, 56, 56, 256)


@pytest.mark.parametrize(("name", "known"), [
    ("mbf", "activation, drop_path, epsilon, large, momentum"),
    ("mobilefacenet", "activation, drop_path, epsilon, momentum")])
def test_wrong_options(name, known):
    with pytest.raises(ValueError, match=f"Backbone '{name}' takes no 'alpha'; it takes {known}"):
        backbones.create(name, 112, 8, alpha=0.5)
    with pytest.raises(ValueError, match=f"The backbone '{name}' cannot be built with momentum='high': "):
        backbones.create(name, 112, 8, momentum="high")
    with pytest.raises(ValueError, match=r"image_size is 15; this backbone needs at least 16 pixels a side"):
        backbones.create(name, 15, 8)


class TestPairConvolution:
    def test_each_pair_sees_itself_only(self):
        random = np.random.default_rng(0)
        x, kernel = random.standard_normal((2, 5, 4, 6)), random.standard_normal((3, 3, 6, 2))
        layer = PairConvolution()
        layer.build(x.shape)
        layer.kernel.assign(kernel)
        padded, expected = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), np.zeros_like(x)
        for row, column, pair, i, o in np.ndindex(3, 3, 3, 2, 2):
            expected[..., 2 * pair + o] += (
                padded[:, row:row + 5, column:column + 4, 2 * pair + i] * kernel[row, column, 2 * pair + i, o])
        np.testing.assert_allclose(numpy(layer(x)), expected, rtol=1e-4, atol=1e-5)

    def test_saved_and_loaded(self, tmp_path):
        inputs = keras.Input((5, 4, 6))
        model = keras.Model(inputs, PairConvolution("ones")(inputs))
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert isinstance(loaded.layers[1].kernel_initializer, keras.initializers.Ones)
        x = np.random.default_rng(0).standard_normal((2, 5, 4, 6))
        np.testing.assert_array_equal(numpy(loaded(x)), numpy(model(x)))
