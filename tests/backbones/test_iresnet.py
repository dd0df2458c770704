"""Against insightface's network on PyTorch, with weights drawn by rule."""

import json

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tests import torch_weights
from tf_facenet import backbones
from tf_facenet.backbones.iresnet import DEPTHS

# insightface's counts, which have the 512 fixed gammas of the last normalisation.
PARAMETERS = {"iresnet18": 24_025_600, "iresnet34": 34_139_328, "iresnet50": 43_590_848,
              "iresnet100": 65_156_160, "iresnet200": 118_833_920}


def filled(name):
    """The network with the weights of the recording, and the names and shapes that they have in PyTorch."""
    model = backbones.create(name, 112, 512, standardization="none")
    entries = torch_weights.fill(model)
    torch_weights.multiply_gamma(model, torch_weights.draw("features.weight", (512,), prelu=False))
    return model, {**entries, "features.weight": (512,)}


@pytest.fixture(scope="module")
def iresnet18():
    return filled("iresnet18")


def check_reference(name, model, entries, shared):
    stored = json.loads((shared / "reference/backbones.json").read_text())[name]["parameters"]
    assert entries == {key: tuple(shape) for key, shape in stored.items() if "num_batches" not in key}
    recorded = np.load(shared / "reference/backbones.npz")
    features, expected = numpy(model(recorded[f"{name}/images"])), recorded[f"{name}/embeddings"]
    np.testing.assert_allclose(features, expected, atol=1e-4 * np.abs(expected).max())


def test_numbers_of_the_reference(iresnet18):
    """Recorded here after the whole output had been equal to the reference's."""
    images = np.random.RandomState(0).uniform(-1, 1, (2, 112, 112, 3)).astype("float32")
    features = numpy(iresnet18[0](images))
    np.testing.assert_allclose(
        features[0, :6], [-57.6283, -26.89746, 3.46077, -46.72701, -34.72786, -19.19276], atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), [765.1422, 816.8778], rtol=1e-4)


def test_every_feature_is_that_of_the_reference(iresnet18, shared):
    check_reference("iresnet18", *iresnet18, shared)


def test_iresnet50(shared):
    check_reference("iresnet50", *filled("iresnet50"), shared)


@pytest.mark.parametrize("name", DEPTHS)
def test_number_of_parameters(iresnet18, name):
    """A network has iresnet18's parameters, and those of each stage's second block for every block more."""
    model, more = iresnet18[0], 0
    for stage, depth in enumerate(DEPTHS[name], 1):
        block = [layer for layer in model.layers if layer.name.startswith(f"layer{stage}_1_")]
        more += (depth - 2) * sum(np.prod(weight.shape) for layer in block for weight in layer.trainable_weights)
    trainable = sum(np.prod(weight.shape) for weight in model.trainable_weights)
    assert trainable + more + 512 == PARAMETERS[name]
    assert callable(backbones._family(f"models.{name}"))


def test_options():
    model = backbones.create(
        "iresnet18", (32, 48), 8, keep_probability=0.6, activation="swish", momentum=0.8, epsilon=1e-3)
    assert model.output_shape == (None, 8)
    assert model.get_layer("dropout").rate == pytest.approx(0.4)
    assert model.get_layer("layer1_1_prelu").activation is keras.activations.silu
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon, layer.scale) for layer in norms[:-1]} == {(0.8, 1e-3, True)}
    assert (norms[-1].name, norms[-1].scale) == ("features", False)
    kernels = [model.get_layer(f"layer1_{index}_conv1").kernel for index in (0, 1)]
    assert np.abs(numpy(kernels[0]) - numpy(kernels[1])).min() > 0  # initializers of their own
