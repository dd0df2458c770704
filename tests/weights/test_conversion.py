"""Whole networks through files: against recorded outputs of the originals, and a real checkpoint on real faces."""

import json

import cv2
import numpy as np
import pytest
from keras import Model
from keras.ops import convert_to_numpy as numpy

from tests import facenet_weights, torch_weights
from tests.torch_files import write_legacy, write_zip
from tests.weights.test_tf1 import write_checkpoint
from tf_facenet import backbones
from tf_facenet.weights.conversion import convert

COUNTERS = {"num_batches_tracked"}
RECORDED = {  # key of the recorded outputs → network, leaves of its file that are not used
    "inception_resnet_v1_l2normalised": ("inception_resnet_v1", COUNTERS), "iresnet18": ("iresnet18", COUNTERS),
    "iresnet50": ("iresnet50", COUNTERS), "mbf": ("mbf", COUNTERS),
    "swin_t_features": ("swin_t", {"relative_position_index", "attn_mask"})}


@pytest.fixture(scope="module")
def facenet():
    return backbones.create("inception_resnet_v1", 160, 512)


@pytest.fixture
def at_hand(facenet, monkeypatch):
    """`backbones.create` gives the network that is there already; returns what it was asked for."""
    asked = []
    monkeypatch.setattr(backbones, "create", lambda *sizes, **options: asked.append((*sizes, options)) or facenet)
    return asked


@pytest.mark.parametrize("key", RECORDED)
def test_recorded_outputs_of_pytorch(key, shared, tmp_path, request):
    name, unused = RECORDED[key]
    images = np.load(shared / "reference/backbones.npz")[f"{key}/images"]
    if name == "inception_resnet_v1":
        request.getfixturevalue("at_hand")
        images = images * 128 + 127.5
    facts = json.loads((shared / "reference/backbones.json").read_text())[key]
    state = {entry: np.zeros(shape, "i8") if entry.rpartition(".")[2] in unused else
             torch_weights.draw(entry, shape, entry in facts["prelu"]) for entry, shape in facts["parameters"].items()}
    write_zip(tmp_path / "model.pth", {"model": {f"module.{entry}": array for entry, array in state.items()}})
    result = convert(tmp_path / "model.pth", name, standardization="none" if images.max() < 2 else "")
    assert {entry.rpartition(".")[2] for entry in result.unused} == unused
    assert result.new == (["Bottleneck", "Bottleneck_BatchNorm"] if name == "swin_t" else [])
    recorded = np.load(shared / "reference/backbones.npz")
    (output,) = (entry for entry in recorded.files if entry.startswith(f"{key}/") and not entry.endswith("images"))
    expected, model = recorded[output], result.model
    if name == "swin_t":
        model = Model(model.input, model.get_layer("norm").output)
    features = numpy(model(images))
    if name == "swin_t":
        features = features.reshape(len(features), -1, features.shape[-1]).transpose(0, 2, 1)
    if key.endswith("normalised"):
        features /= np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(features, expected, atol=1e-4 * np.abs(expected).max())


@pytest.fixture(scope="module")
def checkpoint(facenet, tmp_path_factory):
    """A checkpoint of facenet with weights by rule, and a classifier and a step that the network has no use for."""
    variables = {}
    for layer in facenet.layers:
        for weight in layer.weights:
            name = facenet_weights.variable_name(layer, weight)
            variables[name] = facenet_weights.draw(name, weight.shape).astype("f4")
    more = {"Logits/weights": np.zeros((512, 3), "f4"), "Logits/biases": np.zeros(3, "f4"), "global_step": np.array(7)}
    return write_checkpoint(tmp_path_factory.mktemp("facenet") / "model-20180402-114759.ckpt-275", variables | more)


def test_recorded_outputs_of_facenet(checkpoint, at_hand):
    result = convert(checkpoint, "models.inception_resnet_v1")
    assert at_hand == [("inception_resnet_v1", (160, 160), 512, {"standardization": "fixed"})]
    assert set(result.unused) == {"Logits/weights", "Logits/biases", "global_step"}
    assert result.metadata["standardization"] == "fixed"
    images = np.random.RandomState(0).uniform(-1, 1, (2, 160, 160, 3)).astype("f4")
    features = numpy(result.model(images * 128 + 127.5))
    np.testing.assert_allclose(features[0, :4], [-1.546448, -7.857403, -7.299131, 1.550765], rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), [181.052032, 184.489090], rtol=1e-4)


@pytest.mark.parametrize(("options", "what"), [
    ({"backbone": "mbf"}, r"looks like weights of inception_resnet_v1 \(facenet \(v1\)\), not of mbf; try --backbone"),
    ({"standardization": "mean"}, "Unknown standardization 'mean'"),
    ({"color_order": "RBG"}, "Unknown color order 'RBG'"),
    ({"image_size": 40}, "image_size is 40; this backbone needs at least 75")])
def test_what_does_not_fit(checkpoint, options, what):
    with pytest.raises(ValueError, match=what) as caught:
        convert(checkpoint, **options)
    assert "\n" not in str(caught.value)


SMALL = {  # network → arguments of `create`; with maps of 2 × 2 places
    "mobilefacenet": (32, 16), "mbf": ((32, 48), 16)}


@pytest.mark.parametrize("name", SMALL)
def test_small_networks(name, tmp_path):
    """Sizes follow from the file; a second reading of the layouts, in `torch_weights`, gives the same weights."""
    model = backbones.create(name, *SMALL[name], standardization="none")
    entries = torch_weights.fill(model)
    if name == "mobilefacenet":  # in the original a convolution of one pixel
        entries["linear1.conv.weight"] += (1, 1)
    state = {entry: torch_weights.draw(entry, shape, is_slope(model, entry)) for entry, shape in entries.items()}
    write_legacy(tmp_path / "model.pt", {"state_dict": state, "epoch": 3})
    result = convert(tmp_path / "model.pt", standardization="none")
    assert result.unused == []
    assert result.model.input_shape == model.input_shape
    for ours, expected in zip(result.model.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, expected, ours.path)


def is_slope(model, entry):
    name = entry.rpartition(".")[0].replace(".", "_")
    return type(model.get_layer(name)).__name__ == "PReLU" if name in {layer.name for layer in model.layers} else False


def test_a_real_checkpoint(shared, tmp_path):
    """Some of LFW's images, whose embeddings the original gave; decoded as PyTorch's tools do."""
    result = convert(shared / "weights/mobilefacenet_casia/068.ckpt", "mobilefacenet")
    assert result.model.input_shape == (None, 112, 96, 3)
    assert {name.rpartition(".")[2] for name in result.unused} == {"num_batches_tracked"}
    assert result.metadata["template"] == "112x96"
    recorded = np.load(shared / "reference/lfw_casia_eval.npz")
    rows = np.arange(0, 7701, 900)
    files = [str(shared / "data/lfw_112" / file) for file in recorded["files"][rows]]
    images = np.stack([cv2.imread(file)[:, :96, ::-1] for file in files])
    for pixels, key in ((images, "emb"), (images[:, :, ::-1], "emb_flip")):
        expected = recorded[key][rows].astype("f4")
        np.testing.assert_allclose(numpy(result.model(pixels)), expected, atol=1e-3 * np.abs(expected).max())
