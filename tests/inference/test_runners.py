import importlib.util
import json

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


def test_networks_whose_weights_lie_elsewhere(folder, tmp_path):
    """ONNX knows weights in files of other names; exports have none."""
    proto = onnx.load(folder / "m.onnx")
    weights = proto.graph.initializer[0]
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="weights.bin")
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="m.onnx' names other files for its weights, which are not read. Export"):
        runners.load(tmp_path / "m.onnx")
    proto = onnx.load(folder / "m.onnx")
    stored = json.loads(proto.metadata_props[0].value)
    proto.metadata_props[0].value = json.dumps({**stored, "class_names": ["location"]})
    onnx.save(proto, tmp_path / "m.onnx")
    assert runners.load(tmp_path / "m.onnx").metadata["class_names"] == ["location"]


@pytest.mark.parametrize("package", ["ai_edge_litert", "tensorflow"])
def test_operations_that_are_not_tflites_own(package, tmp_path, monkeypatch):
    """TensorFlow's interpreter runs those of TensorFlow, such as those that write files, if their names begin so."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: package != "tensorflow")
    module, spec = tf.Module(), tf.TensorSpec([1, 4], name="pixels")
    module.text = tf.function(lambda pixels: {"y": tf.strings.length(tf.strings.as_string(pixels))}, [spec])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.text.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    with pytest.raises(ValueError, match="m.tflite' holds the operation FlexAsString, which is none of TFLite's own"):
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
