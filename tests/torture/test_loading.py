"""Files of strangers: nothing in them runs, and nothing is written outside; a canary tells."""

import ast
import io
import json
import pickle
import zipfile

import keras
import numpy as np
import pytest

from tests import tiny, torch_files
from tests.conftest import ROOT
from tf_facenet.data import bins
from tf_facenet.inference import model_file
from tf_facenet.inference.classifier import Classifier
from tf_facenet.inference.gallery import Gallery
from tf_facenet.training.checkpoints import read_arrays
from tf_facenet.weights import torch_file

# Calls that can run what a file says, and the files of the package that may make them.
DANGEROUS = {"pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "marshal.loads", "torch.load", "eval",
             "exec", "os.system", "os.popen", "yaml.load", "keras.config.enable_unsafe_deserialization"}


def calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


def test_the_package_calls_nothing_that_runs_files():
    for path in (ROOT / "tf_facenet").rglob("*.py"):
        for name, words in calls(path):
            assert name not in DANGEROUS, path
            assert words.get("shell") != "True", path
            if name in ("np.load", "np.lib.format.read_array"):
                assert words.get("allow_pickle") == "False", path
            if name.endswith("saving.load_model"):
                assert words.get("safe_mode") == "True", path


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file that must never be there; the working folder is one level below it."""
    (tmp_path / "inside" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "inside" / "deeper")
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.path}",)


def test_pickles_run_nothing(canary, tmp_path):
    for protocol in range(6):
        (tmp_path / "lfw.bin").write_bytes(pickle.dumps(([Touch(canary)], [True]), protocol))
        with pytest.raises(ValueError, match="lfw.bin.*refuses"):
            bins.read_bin(tmp_path / "lfw.bin")


def test_pytorch_files_run_nothing(canary, tmp_path):
    data = pickle.dumps({"weight": Touch(canary)}, 2)
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("archive/data.pkl", data)
    head = b"".join(pickle.dumps(part, 2) for part in (
        torch_files.MAGIC_NUMBER, torch_files.VERSION, torch_files.MACHINE))
    (tmp_path / "legacy.pt").write_bytes(head + data)
    for name in ("zip.pt", "legacy.pt"):
        with pytest.raises(ValueError, match=rf"{name}'.*refuses"):
            torch_file.read(tmp_path / name)


def _object_array(canary):
    array = np.empty(1, object)
    array[0] = Touch(canary)
    return array


def test_arrays_of_objects_run_nothing(canary, tmp_path):
    np.savez(tmp_path / "people.npz", **dict.fromkeys(Classifier.__dataclass_fields__, _object_array(canary)))
    with pytest.raises(ValueError, match="people.npz' is not a classifier"):
        Classifier.load(tmp_path / "people.npz")
    gallery = tmp_path / "gallery"
    Gallery(np.eye(2, 3), ["a", "b"]).save(gallery)
    np.save(next(gallery.glob("rows-*.npy")), _object_array(canary), allow_pickle=True)
    with pytest.raises(ValueError, match="gallery' is damaged"):
        Gallery.load(gallery)
    file = io.BytesIO()
    np.lib.format.write_array(file, _object_array(canary), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "checkpoint-000000001.npz", "w") as archive:
        archive.writestr("manifest.json", json.dumps({"format": 1, "step": 1, "variables": {"model": [["x", [1]]]}}))
        archive.writestr("model/0000.npy", file.getvalue())
    with pytest.raises(ValueError, match="checkpoint-000000001.npz' is damaged"):
        read_arrays(tmp_path / "checkpoint-000000001.npz", "model")


def _replace_layer(path, new):
    """A `.keras` file whose layer "pool" is something else."""
    model_file.save_model(tiny.create(8, 2), path, {})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    layer = next(layer for layer in config["config"]["layers"] if layer["name"] == "pool")
    layer.update(new)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _lambda(canary):
    return keras.saving.serialize_keras_object(
        keras.layers.Lambda(lambda x, path=str(canary): open(path, "w") and x, output_shape=(16,)))


STRANGE = {
    "a Lambda with code": _lambda,
    "os.system": lambda canary: {"module": "os", "class_name": "system", "registered_name": None,
                                 "config": {"command": f"touch {canary}"}},
    "a function": lambda canary: {"module": "builtins", "class_name": "function", "config": "exec",
                                  "registered_name": "function"},
    "a module that runs when it is imported": lambda canary: {
        "module": "nest", "class_name": "Layer", "registered_name": None, "config": {}},
    "a part of Keras that loads files": lambda canary: {
        "module": "keras.utils", "class_name": "get_file", "registered_name": None, "config": {"fname": str(canary)}},
    "a TorchModuleWrapper": lambda canary: {
        "module": "keras.layers", "class_name": "TorchModuleWrapper", "registered_name": None,
        "config": {"module": {"class_name": "__bytes__", "config": {"value": "x"}}}},
}


@pytest.mark.parametrize("name", STRANGE)
def test_model_files_run_nothing(name, canary, tmp_path, monkeypatch):
    (tmp_path / "nest.py").write_text(f"open({str(canary)!r}, 'w').close()\nclass Layer: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    _replace_layer(tmp_path / "model.keras", STRANGE[name](canary))
    with pytest.raises(ValueError, match="model.keras' cannot be loaded"):
        model_file.load_model(tmp_path / "model.keras")


@pytest.mark.filterwarnings("ignore:Skipping invalid path")
@pytest.mark.parametrize("name", ["../canary", "../../canary", "/canary"])
def test_archives_write_nothing_outside(name, canary, tmp_path):
    name = str(canary) if name == "/canary" else name
    model_file.save_model(tiny.create(8, 2), tmp_path / "model.keras", {})
    np.savez(tmp_path / "people.npz", x=1)
    torch_files.write_zip(tmp_path / "weights.pt", {"weight": np.ones(2, "float32")})
    for file in ("model.keras", "people.npz", "weights.pt"):
        with zipfile.ZipFile(tmp_path / file, "a") as archive:
            archive.writestr(name, b"x")
    assert model_file.load_model(tmp_path / "model.keras")[1]["embedding_size"] == 2
    model_file.write_metadata(tmp_path / "model.keras", {"data_licence": "CC0"})
    assert list(torch_file.read(tmp_path / "weights.pt")) == ["weight"]
    with pytest.raises(ValueError, match="not a classifier"):
        Classifier.load(tmp_path / "people.npz")
