import json

import numpy as np
import onnx
import onnxruntime
import pytest

from tests import process
from tests.export import networks
from tests.export.expected import METADATA, assert_equal, outputs
from tf_facenet.export import onnx as writer
from tf_facenet.inference.embedder import Embedder


@pytest.fixture(scope="module")
def exported(model, export, tmp_path_factory):
    file = tmp_path_factory.mktemp("export") / "tiny.onnx"
    assert export(model, METADATA, file).difference < 1e-5
    return file


def run(file, pixels):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"pixels": pixels.astype("float32")}), strict=True))


def test_any_number_of_pixels_in_embeddings_and_norms_out(model, exported, pixels):
    for count in (1, 7):
        assert_equal(run(exported, pixels[:count]), outputs(model, pixels[:count]))


def test_it_is_valid_and_names_what_it_takes(exported):
    proto = onnx.load(exported)
    onnx.checker.check_model(proto, full_check=True)
    value, = proto.graph.input
    shape = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
    assert (value.name, shape) == ("pixels", ["batch", 20, 16, 3])
    assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_metadata(exported):
    properties = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    metadata = json.loads(properties["tf_facenet.json"])
    assert {**metadata, **METADATA} == metadata
    assert metadata["image_size"] == [20, 16]


def test_embedder_reads_it(model, exported, pixels):
    embedder, direct = Embedder.load(exported, batch_size=3), Embedder(model, {"image_size": [20, 16]}, batch_size=3)
    assert embedder.metadata["class_names"] == ["Zoë"]
    for flip in ("none", "concat", "sum"):
        np.testing.assert_allclose(embedder.embed(pixels, flip), direct.embed(pixels, flip), atol=1e-5)


PLAIN = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
numpy.save(sys.argv[3], session.run(["embeddings"], {"pixels": numpy.load(sys.argv[2]).astype("float32")})[0])
print([name for name in ("tensorflow", "keras", "tf_facenet") if name in sys.modules])
"""


def test_onnx_runtime_alone_runs_it(model, exported, pixels, tmp_path):
    np.save(tmp_path / "pixels.npy", pixels)
    done = process.python("-c", PLAIN, exported, tmp_path / "pixels.npy", tmp_path / "out.npy", cwd=tmp_path)
    assert done.stdout.split() == ["[]"], done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), outputs(model, pixels)[0], atol=1e-5)


# PReLU is in both mobilefacenet and iresnet18; TFLite takes the other one.
@pytest.mark.parametrize("name", ["small", "mobilenet_v1", "mobilefacenet", "swin_t"])
def test_every_kind_of_backbone(name, tmp_path):
    module, prelus = networks.create(name)
    writer.onnx(module, {}, tmp_path / "m.onnx")
    assert_equal(run(tmp_path / "m.onnx", networks.faces()), networks.expected(name), networks.TOLERANCE)
    operators = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert operators.count("PRelu") == prelus
    assert operators.count("Transpose") <= (30 if name == "swin_t" else 2)  # attention needs some
