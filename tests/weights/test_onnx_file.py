"""ONNX initialisers, and the comparison with what ONNX Runtime computes."""

import sys

import keras
import numpy as np
import pytest

from tf_facenet.weights import comparison, onnx_file, source
from tf_facenet.weights.conversion import Converted

onnx = pytest.importorskip("onnx")
RNG = np.random.default_rng(2)
KERNEL, BIAS = RNG.standard_normal((5, 3, 3, 3)).astype("f4"), RNG.standard_normal(5).astype("f4")


def write(path, weights, size=8):
    """A convolution and the mean of its map: images [1, 3, H, W] → [1, 5]."""
    helper = onnx.helper
    nodes = [helper.make_node("Conv", ["input", *weights], ["map"]),
             helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
             helper.make_node("Flatten", ["mean"], ["output"])]
    inputs = [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, size, size])]
    outputs = [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, [1, 5])]
    arrays = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    made = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, arrays), ir_version=8,
                             opset_imports=[helper.make_opsetid("", 13)])
    path.write_bytes(made.SerializeToString())


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "net.onnx", {"conv.weight": KERNEL, "conv.bias": BIAS})
    return tmp_path / "net.onnx"


def test_initialisers(path):
    assert source.kind(path) is onnx_file.read
    read = source.read(path)
    assert list(read) == ["conv.weight", "conv.bias"]
    np.testing.assert_array_equal(read["conv.weight"], KERNEL)


def test_folded_convolutions_are_explained(path):
    write(path, {"onnx::Conv_642": KERNEL, "643": BIAS})
    with pytest.raises(ValueError, match="2 of 2 initialisers have no names of a state dict, such as 643, onnx::Con"):
        source.read(path)


@pytest.mark.parametrize("length", [2, 50, -20])
def test_a_part_of_a_file(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match="is no ONNX file, or only a part of one|has no initialisers"):
        source.read(path)


def test_without_the_package(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match="reading it needs the package onnx: pip install"):
        source.read(path)


def converted(size=8, kernel=KERNEL):
    convolution = keras.layers.Conv2D(5, 3)
    pixels = keras.Input((size, size, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    model = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(convolution(scaled)))
    convolution.set_weights([kernel.transpose(2, 3, 1, 0)[:, :, ::-1], BIAS])  # for RGB what the original does for BGR
    return Converted(model, {}, 2, [], [], ("insightface", "BGR"))


def test_comparison(path):
    pytest.importorskip("onnxruntime")
    difference = comparison.report(path, converted())
    assert difference.startswith("Largest difference to ONNX Runtime on 4 random images: ")
    assert float(difference.split(": ")[1].split(",")[0]) < 1e-5
    wrong = comparison.report(path, converted(kernel=KERNEL * 1.01))
    assert float(wrong.split(": ")[1].split(",")[0]) > 1e-3


def test_an_original_for_other_images(path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match=r"net.onnx' cannot be run on images \[3, 9, 9\]"):
        comparison.report(path, converted(size=9))


def test_what_cannot_be_compared(path, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "needs the package onnxruntime" in comparison.report(path, converted())
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04")
    said = comparison.report(tmp_path / "model.pt", converted())
    assert said.startswith("Not compared: of originals only ONNX files can be run")


def test_a_type_that_does_not_exist(path):
    model = onnx.load(path)
    model.graph.initializer[0].data_type = 44
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="net.onnx' is no ONNX file"):
        source.read(path)
