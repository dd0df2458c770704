import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from tests.export import networks
from tests.export.expected import METADATA, assert_equal, outputs
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


def test_calibration_with_ones_own_faces(model, export, tmp_path):
    black = tf.io.encode_png(np.zeros((20, 16, 3), np.uint8)).numpy()
    (tmp_path / "faces" / "ann").mkdir(parents=True)
    (tmp_path / "faces" / "ann" / "1.png").write_bytes(black)
    with pytest.raises(ValueError, match=r"differs from Keras by .* or use --quantize float16\.|lose at most"):
        export(model, {}, tmp_path / "m.tflite", quantize="int8", calibrate=tmp_path / "faces")
    assert [item.name for item in tmp_path.iterdir()] == ["faces"]


@pytest.mark.parametrize("quantize", ["", "int8"])
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_every_kind_of_backbone(name, quantize, export, tmp_path):
    assert export(networks.create(name), {}, tmp_path / "m.tflite", quantize=quantize).difference < TOLERANCES[quantize]
