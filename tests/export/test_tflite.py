import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.export import networks
from tests.export.expected import METADATA, assert_equal, outputs
from tf_facenet.export import tflite as writer
from tf_facenet.export import writing
from tf_facenet.export.proof import TOLERANCES
from tf_facenet.inference.embedder import Embedder

interpreters = pytest.importorskip("ai_edge_litert.interpreter")
TYPES = {"": np.float32, "float16": np.float32, "int8": np.uint8}  # of the pixels


@pytest.fixture(scope="module", params=TYPES)
def exported(request, model, export, tmp_path_factory):
    file = tmp_path_factory.mktemp("export") / f"tiny{request.param}.tflite"
    export(model, METADATA, file, quantize=request.param)
    return file, request.param


def test_any_number_of_pixels_in_embeddings_and_norms_out(model, exported, pixels):
    file, quantize = exported
    run = interpreters.Interpreter(str(file)).get_signature_runner()
    assert run.get_input_details()["pixels"]["dtype"] == TYPES[quantize]
    for count in (7, 1):
        result = run(pixels=pixels[:count].astype(TYPES[quantize]))
        assert_equal(result, outputs(model, pixels[:count]), max(1e-5, TOLERANCES[quantize]))


def test_weights_are_as_small_as_was_said(exported):
    file, quantize = exported
    tensors = interpreters.Interpreter(str(file)).get_tensor_details()
    kernels = [tensor for tensor in tensors if list(tensor["shape"]) == [16, 3, 3, 8]]
    expected = {"": np.float32, "float16": np.float16, "int8": np.int8}[quantize]
    assert any(tensor["dtype"] == expected for tensor in kernels)
    if quantize == "int8":
        floats = [tensor for tensor in tensors if tensor["dtype"] == np.float32]
        assert all(tensor["name"].startswith("StatefulPartitionedCall") for tensor in floats)  # the two outputs


def test_pixels_stay_as_they_are_in_int8(exported):
    file, quantize = exported
    pixels = interpreters.Interpreter(str(file)).get_input_details()[0]
    assert pixels["quantization"] == ((1.0, 0) if quantize == "int8" else (0.0, 0))


def test_metadata(exported):
    with zipfile.ZipFile(exported[0]) as archive:
        metadata = json.loads(archive.read("tf_facenet.json"))
    assert {**metadata, **METADATA} == metadata
    assert metadata["image_size"] == [20, 16]
    assert metadata.get("quantize", "") == exported[1]


def test_embedder_reads_it(model, exported, pixels):
    file, quantize = exported
    embedder, direct = Embedder.load(file, batch_size=3), Embedder(model, {"image_size": [20, 16]}, batch_size=3)
    assert embedder.metadata["class_names"] == ["Zoë"]
    for flip in ("none", "sum"):
        np.testing.assert_allclose(embedder.embed(pixels, flip), direct.embed(pixels, flip),
                                   atol=max(1e-5, TOLERANCES[quantize]))
    np.testing.assert_allclose(embedder.embed(pixels.astype("float64") + 0.2), embedder.embed(pixels), atol=0.01)


def test_calibration_images_are_spread_over_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "CALIBRATION", 3)
    (tmp_path / "ann").mkdir()
    for grey in range(0, 50, 10):
        image = np.full((20, 16, 3), grey, np.uint8)
        (tmp_path / "ann" / f"{grey:02d}.png").write_bytes(tf.io.encode_png(image).numpy())
    images = writing._calibration_images(tmp_path, [20, 16], (0.5, 0.5))
    assert (images.shape, images[:, 0, 0, 0].tolist()) == ((3, 20, 16, 3), [0, 20, 40])
    assert writing._calibration_images("drawn", [20, 16], (0.5, 0.5)).shape == (3, 20, 16, 3)


def test_a_network_that_has_diverged_is_refused(model, export, tmp_path):
    broken = keras.models.clone_model(model)
    broken.get_layer("conv1").kernel.assign(np.full((3, 3, 3, 8), np.nan))
    with pytest.raises(ValueError, match="conv1/kernel holds values that are not finite: the network has diverged"):
        export(broken, {}, tmp_path / "m.tflite", quantize="int8")


@pytest.mark.parametrize(("name", "quantize"), [
    ("small", ""), ("mobilenet_v1", ""), ("iresnet18", ""), ("swin_t", "int8")])
def test_every_kind_of_backbone(name, quantize, tmp_path):
    module, _ = networks.create(name)
    writer.tflite(module, {}, tmp_path / "m.tflite", quantize, networks.faces())
    run = interpreters.Interpreter(str(tmp_path / "m.tflite")).get_signature_runner()
    embeddings = run(pixels=networks.faces().astype(TYPES[quantize]))["embeddings"]
    expected = networks.expected(name)[0]
    if quantize:  # the weights are random, which rounding disturbs more than learned ones
        assert (embeddings * expected).sum(axis=1).min() > 0.8
    else:
        np.testing.assert_allclose(embeddings, expected, atol=networks.TOLERANCE)
