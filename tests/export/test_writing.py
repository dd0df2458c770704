import importlib.util

import keras
import numpy as np
import pytest

from tf_facenet import export as package
from tf_facenet.export import proof, writing
from tf_facenet.inference import runners
from tf_facenet.inference.embedder import Embedder
from tf_facenet.inference.model_file import save_model

FILES = ["m", "m.onnx", "m.tflite"]


def test_the_ending_says_the_format():
    assert [package.format_of(file) for file in (*FILES, "v1.2")] == ["saved_model", "onnx", "tflite", "saved_model"]
    assert package.format_of("m.tflite", "tflite", "int8") == "tflite"


@pytest.mark.parametrize(("arguments", "message"), [
    (("m", "onnx"), "Cannot write the format 'onnx' to 'm', which is a name for 'saved_model'; expected one that ends"),
    (("m.onnx", "saved_model"), "to 'm.onnx', which is a name for 'onnx'; expected one without that ending"),
    (("m", "coreml"), "Unknown export format 'coreml'. Choose one of: onnx, saved_model, tflite."),
    (("m.onnx", "", "int8"), "'onnx' cannot be quantised as 'int8'; possible are: tflite as float16 or int8"),
    (("m", "saved_model", "float16"), "'saved_model' cannot be quantised as 'float16'"),
    (("m.tflite", "", "int4"), "'tflite' cannot be quantised as 'int4'"),
])
def test_formats_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        package.format_of(*arguments)


@pytest.mark.parametrize("name", ["20261201-120000", "face/1", "face-1.0", "face.v2"])
def test_names_without_an_ending_are_folders(name):
    assert package.format_of(name) == "saved_model"


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.pb", "m.mlpackage", "m.engine", "m.pt2"])
def test_endings_of_other_networks(name):
    """Core ML's .mlpackage is a folder, too, and would look right."""
    assert package.format_of("m.ONNX") == "onnx"
    with pytest.raises(ValueError, match=f"export to '{name}', since .{name[2:]} is no format's ending; expected"):
        package.format_of(name)


def test_names_of_formats(monkeypatch):
    assert package.check_formats("") == []
    assert package.check_formats(" saved_model,onnx, tflite ") == ["saved_model", "onnx", "tflite"]
    with pytest.raises(ValueError, match="Unknown export format 'coreml'. Choose one of: onnx, saved_m"):
        package.check_formats("saved_model,coreml")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "onnx" in name else name)
    assert package.check_formats("saved_model,tflite") == ["saved_model", "tflite"]
    with pytest.raises(ValueError, match="'onnx' needs onnx, onnxruntime, tf2onnx: pip install onnx onnxr"):
        package.check_formats("saved_model,onnx")


def test_all_formats_beside_the_model_file(model, tmp_path, caplog):
    save_model(model, tmp_path / "model.keras", {"template": "x"})
    package.export_all(tmp_path / "model.keras", "")
    assert [item.name for item in tmp_path.iterdir()] == ["model.keras"]
    with caplog.at_level("INFO"):
        package.export_all(tmp_path, "saved_model,onnx,tflite")
    for name in ("saved_model", "model.onnx", "model.tflite"):
        assert Embedder.load(tmp_path / name).metadata["template"] == "x"
        assert f"Exported {name}: differs from Keras by at most " in caplog.text
    assert len(list(tmp_path.iterdir())) == 4
    assert "; accuracy on 300 pairs of drawn faces 0." in caplog.text


def test_an_older_export_is_replaced(model, export, tmp_path):
    file = tmp_path / "m.tflite"
    file.write_text("older")
    export(model, {"template": "new"}, file)
    assert Embedder.load(file).metadata["template"] == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_is_not_replaced_by_a_file(model, export, tmp_path):
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(OSError, match="m.onnx' is a folder; expected a name for a file"):
        export(model, {}, tmp_path / "m.onnx")


def test_an_export_that_differs_is_not_kept(model, export, tmp_path, monkeypatch):
    file = tmp_path / "m.tflite"
    file.write_text("older")
    load = runners.load
    monkeypatch.setattr(runners, "load", lambda path: lambda pixels: load(path)(pixels[:, ::-1]))
    with pytest.raises(ValueError, match=r"to '.*m.tflite' differs from Keras by .*; expected at most 0.0001\."):
        export(model, {}, file)
    assert file.read_text() == "older"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("quantize", "found", "message"), [
    ("", (np.nan, 0.9, 0.9), "differs from Keras by nan; expected at most 0.0001. Nothing was written.$"),
    ("float16", (0.03, 0.9, 0.9), "differs from Keras by 0.03; .* Export without --quantize."),
    ("int8", (0.1, 0.9, 0.85), "has an accuracy of 0.8500 on 300 pairs, in Keras it is 0.9000; expected to lose at"),
])
def test_what_is_too_different(quantize, found, message):
    with pytest.raises(ValueError, match=message):
        proof.Proof(*found, "300 pairs").check("m", quantize)
    proof.Proof(proof.TOLERANCES[quantize], 0.9, 0.89, "300 pairs").check("m", quantize)


def test_proof_is_of_the_pairs(model, pairs, tmp_path):
    """Against the network's own embeddings, pair by pair."""
    save_model(model, tmp_path / "m.keras", {})
    embeddings = Embedder(model, {"image_size": [20, 16]}).embed(pairs.images)
    from tf_facenet.evaluation.verification import evaluate
    accuracy = evaluate(embeddings, pairs.same, folds=pairs.folds).accuracy
    found = proof.prove(model, tmp_path / "m.keras", pairs)
    assert (found.before, found.after, found.pairs) == (accuracy, accuracy, f"{len(pairs)} pairs of drawn faces")
    assert found.difference < 1e-6


def test_pairs_that_cannot_be_read(model, pairs, export, tmp_path):
    import dataclasses

    (tmp_path / "broken.jpg").write_text("no image")
    broken = dataclasses.replace(pairs, images=np.array([str(tmp_path / "broken.jpg")] * len(pairs.images), object))
    with pytest.raises(OSError, match="Images that cannot be read: .*broken.jpg"):
        writing.export(model, {}, tmp_path / "m.tflite", pairs=broken)
    assert not (tmp_path / "m.tflite").exists()


def test_networks_of_another_form_are_refused(export, tmp_path):
    network = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="expected one batch of colour images"):
        export(network, {}, tmp_path / "m.onnx")
