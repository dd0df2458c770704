"""What each form of a model file says of its network, without the network."""

import json
import zipfile

import numpy as np
import pytest

from tf_facenet.evaluation.rates import FalseAccepts
from tf_facenet.inference import metadata

SAID = {"threshold": {"distance": "squared-L2", "value": 1.25}, "class_names": ["Zoë"],
        "options": {"crop": [0, 1], "data_dir": "faces"}}
TEXT = json.dumps(SAID, ensure_ascii=False)


def keras(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", "weights")
        archive.writestr(metadata.MEMBER, TEXT)


def tflite(path):
    path.write_bytes(b"a network, then an archive")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(metadata.MEMBER, TEXT)


def saved_model(path):
    (path / metadata.ASSETS).parent.mkdir(parents=True)
    (path / metadata.SAVED_MODEL).write_text("graph")
    (path / metadata.ASSETS).write_text(TEXT, encoding="utf-8")


def onnx(path):
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph([], "graph", [], [], [onnx.numpy_helper.from_array(np.zeros(300, "float32"), "w")])
    model = onnx.helper.make_model(graph)
    for key, value in (("author", "me"), (metadata.MEMBER, TEXT)):
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(("name", "write"), [
    ("m.keras", keras), ("m.tflite", tflite), ("m.onnx", onnx), ("m", saved_model)])
def test_all_forms_say_the_same(name, write, tmp_path):
    write(tmp_path / name)
    assert metadata.read(tmp_path / name) == {**metadata.complete({}), **SAID}


@pytest.mark.parametrize(("name", "content"), [
    ("m.onnx", b""), ("m.onnx", b"no model"), ("m.onnx", b"\x72\xff\xff"), ("m.onnx", b"\x80"), ("m.tflite", b"TFL3")])
def test_files_that_say_nothing(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert metadata.read(tmp_path / name) == metadata.complete({})


def test_without_names_what_tells_of_people_is_left_out():
    left = metadata.without_names(metadata.complete({**SAID, "template": "lfw"}))
    assert (left["class_names"], left["template"], left["threshold"]) == ([], "lfw", SAID["threshold"])
    assert left["options"] == {"crop": [0, 1]}  # where faces are cut out depends on it


def test_stored_threshold_is_of_rows_of_norm_1():
    """Concatenated embeddings have norm √2: squared distances are twice those of unit rows, but angles are the same."""
    accepted = FalseAccepts(1, 10)
    for distance, flip, value in (("squared-L2", "concat", 0.6), ("squared-L2", "sum", 1.2), ("cosine", "concat", 1.2)):
        assert metadata.stored_threshold(distance, 1.2, flip, accepted, 0.1) == {
            "distance": distance, "value": value, "flip": flip, "far": 0.1, "false_accepts": 1, "different_pairs": 10,
            "far_interval": pytest.approx([0.0179, 0.4042], abs=1e-4)}
