import re

import cv2
import keras
import numpy as np
import pytest

from tests import tiny
from tf_facenet import cli
from tf_facenet.inference import metadata
from tf_facenet.inference.embedder import Embedder
from tf_facenet.inference.model_file import save_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, and pairs of two people's images."""
    folder = tmp_path_factory.mktemp("cli")
    keras.utils.set_random_seed(1)  # some first weights take two of the people for one
    save_model(tiny.create((20, 16), 5), folder / "run" / "model.keras", {"template": "x"})
    lines = []
    for person in range(4):
        (folder / "faces" / f"p{person}").mkdir(parents=True)
        for number in (1, 2):
            image = np.random.default_rng(person).integers(0, 256, (20, 16, 3)).astype(np.uint8)
            cv2.imwrite(str(folder / "faces" / f"p{person}" / f"p{person}_{number:04d}.png"), image)
        lines += [f"p{person}\t1\t2", f"p{person}\t1\tp{(person + 1) % 4}\t2"]
    (folder / "pairs.txt").write_text("\n".join(["2\t2", *lines]) + "\n")
    return folder


def status(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stopped.value.code, captured.out, captured.err


def test_export_on_ones_own_pairs(folder, tmp_path, capsys):
    code, text, _ = status(capsys, "export", folder / "run", tmp_path / "m.tflite", "--quantize", "int8", "--calibrate",
                           folder / "faces", "--pairs", folder / "faces", "--quiet")
    assert code == 0
    assert "m.tflite (tflite): pixels [B, 20, 16, 3] → embeddings [B, 5], norm [B]" in text
    assert "Accuracy on 8 pairs: 1.0000 in Keras, 1.0000 exported" in text
    assert "drawn" not in text
    assert Embedder.load(tmp_path / "m.tflite").metadata["template"] == "x"


def test_names_of_people_and_options_can_stay_at_home(folder, tmp_path, capsys):
    """Otherwise they travel: an export for others must not say who is in the training set, nor where it lies."""
    own = {"class_names": ["Al Gore"], "options": {"data_dir": "/home/me/faces", "crop": [0.5, 0.0]}}
    save_model(tiny.create((20, 16), 5), tmp_path / "own.keras", own)
    for flags, said in (((), own), (["--no_metadata_names"], {"class_names": [], "options": {"crop": [0.5, 0.0]}})):
        code, *_ = status(capsys, "export", tmp_path / "own.keras", tmp_path / "m.tflite", "--pairs", folder / "faces",
                          "--quiet", *flags)
        assert code == 0
        stored = metadata.read(tmp_path / "m.tflite")
        assert {name: stored[name] for name in said} == said


def test_without_more_words_it_is_a_saved_model_and_faces_are_drawn(folder, tmp_path, capsys):
    code, text, _ = status(capsys, "export", folder / "run", tmp_path / "m", "--quiet")
    assert code == 0
    assert "Accuracy on 300 pairs of drawn faces: 0." in text
    assert Embedder.load(tmp_path / "m").image_size == (20, 16)


@pytest.mark.parametrize(("place", "accuracy"), [("left", "1.0000"), ("right", "0.")])
def test_larger_images_are_cropped_where_one_says(folder, tmp_path, capsys, place, accuracy):
    random = np.random.default_rng(0)
    for file in (folder / "faces").glob("*/*.png"):
        wide = np.concatenate([cv2.imread(str(file)), random.integers(0, 256, (20, 9, 3)).astype(np.uint8)], axis=1)
        (tmp_path / "wide" / file.parent.name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "wide" / file.parent.name / file.name), wide)
    code, text, _ = status(capsys, "export", folder / "run", tmp_path / "m.tflite", "--pairs", tmp_path / "wide",
                           "--lfw_pairs", folder / "pairs.txt", "--crop", place, "--quiet")
    assert code == 0
    assert f"Accuracy on 8 pairs: {accuracy}" in text


@pytest.mark.parametrize(("arguments", "message"), [
    (["RUN", "m", "--format", "onnx"], "which is a name for 'saved_model'; expected one that ends in .onnx"),
    (["RUN", "m.keras"], "Cannot export to 'm.keras', since .keras is no format's ending"),
    (["RUN", "m.onnx", "--quantize", "int8"], "possible are: tflite as float16 or int8"),
    (["RUN", "m", "--format", "coreml"], "Unknown export format 'coreml'"),
    (["none", "m.onnx"], "No model at 'none'"),
    (["RUN", "m.onnx", "--crop", "middle"], "'middle' is no place: expected center"),
    (["RUN", "m.onnx", "--pairs", "none"], "No file 'pairs.txt'|no folder 'none'"),
    (["RUN", "m.tflite", "--quantize", "int8", "--calibrate", "none"], "none"),
])
def test_mistakes_are_one_line(folder, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    arguments = [str(folder / "run") if word == "RUN" else word for word in arguments]
    code, _, error = status(capsys, "export", *arguments, "--quiet")
    assert code == 2
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert list(tmp_path.iterdir()) == []
