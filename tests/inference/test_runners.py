import importlib.util

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

from tests import tiny
from tf_facenet.data import drawn
from tf_facenet.export import writing
from tf_facenet.inference import runners
from tf_facenet.inference.model_file import save_model

FILES = ["m.keras", "m.onnx", "m.tflite", "m"]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return tiny.create((20, 16), 5)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """The network in all forms."""
    folder = tmp_path_factory.mktemp("models")
    save_model(model, folder / "m.keras", {"template": "x"})
    pairs = drawn.draw_pairs(people=8, images=2, size=32, num_folds=2, pairs_per_fold=4)
    for file in FILES[1:]:
        writing.export(model, {"template": "x"}, folder / file, pairs=pairs)
    return folder


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64"])
def test_features_are_those_of_the_network(model, folder, file, dtype):
    pixels = np.random.default_rng(1).integers(0, 256, (3, 20, 16, 3)).astype(dtype)
    runner = runners.load(folder / file)
    expected = model.predict(pixels.astype("float32"), verbose=0)
    np.testing.assert_allclose(runner(pixels), expected, rtol=1e-4, atol=1e-4)
    inside = tf.function(runner).get_concrete_function(tf.TensorSpec([None, 20, 16, 3], dtype))
    assert inside.output_shapes.as_list() == [None, 5]
    np.testing.assert_allclose(inside(tf.constant(pixels)), expected, rtol=1e-4, atol=1e-4)
    assert runner.metadata["template"] == "x"
    assert runner.metadata["image_size"] == [20, 16]


@pytest.mark.parametrize("file", ["m.onnx", "m.tflite"])
def test_damaged_files_are_one_line(folder, tmp_path, file):
    content = (folder / file).read_bytes()
    for part in (b"", b"no network at all", content[:200]):
        (tmp_path / file).write_bytes(part)
        with pytest.raises(ValueError, match=f"{file}' is not a .{file[2:]} file or only a part of one: .* Export"):
            runners.load(tmp_path / file)


def test_files_of_others_are_told_apart(model, folder, tmp_path):
    message = "is not an export of this package: expected the outputs embeddings and norm and metadata"
    proto = onnx.load(folder / "m.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=f"{message} .*, found the outputs embeddings, norm without metadata"):
        runners.load(tmp_path / "m.onnx")
    module = tf.Module()
    spec = tf.TensorSpec([1, 4], name="pixels")
    module.double = tf.function(lambda pixels: {"y": 2 * pixels}, input_signature=[spec])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.double.get_concrete_function()], module)
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    with pytest.raises(ValueError, match=f"{message} .*, found the outputs y without metadata"):
        runners.load(tmp_path / "m.tflite")


def test_a_missing_package_is_named(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="m.onnx' is an ONNX file; running it needs .*: pip install onnxruntime"):
        runners.load(folder / "m.onnx")


def test_tensorflows_own_interpreter_will_do(model, folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    pixels = np.full((2, 20, 16, 3), 7, np.uint8)
    expected = model.predict(pixels.astype("float32"), verbose=0)
    np.testing.assert_allclose(runners.load(folder / "m.tflite")(pixels), expected, rtol=1e-4, atol=1e-4)
