"""Mistakes that can be found without TensorFlow are told before it is loaded, which takes seconds."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.cli import colors
from tests.conftest import ROOT
from tf_facenet.inference.gallery import Gallery

# Runs many command lines in one process in which TensorFlow cannot be imported, and counts who tries.
RUN = """
import contextlib, importlib, io, json, os, sys

class Counter:
    tried = 0

    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            Counter.tried += 1
            raise ImportError(f"{name} is not for errors that need none")

def outcome(line):
    program, *words = line.split()
    Counter.tried, said = 0, io.StringIO()
    module = importlib.import_module("tf_facenet.cli" if program == "tf-facenet" else program)
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            config.run(lambda: (module.run_command if program == "tf-facenet" else module.main)(words))
        except SystemExit as stopped:
            return stopped.code, Counter.tried, said.getvalue()

from tf_facenet import config
sys.meta_path.insert(0, Counter())
json.dump([outcome(line) for line in json.load(sys.stdin)], sys.stdout)
"""
MISTAKES = {
    "tf-facenet embed none.keras people": "No model at 'none.keras'",
    "tf-facenet embed people people": "Expected model.keras or saved_model.pb in 'people'",
    "tf-facenet embed broken.keras people": "'broken.keras' is not a model file or only a part of one",
    "tf-facenet embed model.keras nowhere": "no folder 'nowhere'",
    "tf-facenet embed model.keras people -o model.keras/e.npz": "'model.keras/e.npz' cannot be written: ",
    "tf-facenet embed model.keras people -o e.xls": "Unknown format of --output 'xls'",
    "tf-facenet embed model.keras people --batch_size 0": "--batch_size is 0; expected at least 1",
    "tf-facenet compare model.keras none.png broken.keras": "None of the 2 files is a photograph, the first is none",
    "tf-facenet identify model.keras people red.png": "'people' is no gallery",
    "tf-facenet identify model.keras gallery red.png --threshold 1": "The gallery was made with model other, this is",
    "tf-facenet enroll model.keras nowhere new": "no folder 'nowhere'",
    "tf-facenet enroll model.keras people gallery": "The gallery was made with model other, this is",
    "tf-facenet cluster model.keras people gallery": "Folder 'gallery' is not empty: it holds codes-",
    "tf-facenet cluster model.keras people broken.keras": "'broken.keras' is a file; expected a name for a folder",
    "tf-facenet classify predict people model.keras none.npz": "No such file or directory: 'none.npz'",
    "tf-facenet classify train people none.keras c.npz": "No model at 'none.keras'",
    "tf-facenet filter model.keras nowhere d.h5": "no folder 'nowhere'",
    "tf-facenet threshold small.tflite people": "'small.tflite' is not a .keras file; only those can be changed",
    "tf-facenet threshold model.keras people --lfw_pairs good.txt --quiet":
        "--far is 0.001, but 1 pairs of different people",
    "tf-facenet threshold model.keras people --lfw_pairs bad.txt": "pairs file 'bad.txt', line 2: expected",
    "tf-facenet report model.keras --pairs people": "No file 'pairs.txt'",
    "tf-facenet export none.keras e.onnx": "No model at 'none.keras'",
    "tf-facenet export model.keras gallery": "Folder 'gallery' is not empty: it holds codes-",
    "tf-facenet check nowhere": "no folder 'nowhere'",
    "tf-facenet check people -o people": "'people' is a folder; expected a name for a file",
    "tf-facenet align nowhere out": "no folder 'nowhere'",
    "tf-facenet pairs nowhere": "no folder 'nowhere'",
    "tf-facenet split nowhere": "no folder 'nowhere'",
    "tf-facenet records verify none.rec": "no record file 'none.rec'",
    "tf-facenet records bin people p.bin --lfw_pairs bad.txt": "pairs file 'bad.txt', line 2: expected",
    "tf-facenet convert none.pt m.keras": "No weights at 'none.pt'",
    "tf-facenet convert model.keras m.h5": "Cannot save a model as 'm.h5'",
    "tf-facenet clean people": "people is not a run folder",
    "validate_on_lfw people none.keras --lfw_pairs good.txt --quiet": "No model at 'none.keras'",
    "validate_on_lfw people model.keras --lfw_pairs bad.txt": "pairs file 'bad.txt', line 2: expected",
    "validate_on_lfw people model.keras --json people": "'people' is a folder; expected a name for a file",
    "train_softmax --data_dir nowhere": "no folder 'nowhere'",
    "train_softmax --data_dir people --people_file none.txt": "No such file or directory: 'none.txt'",
    "train_softmax --data_dir people --lfw_dir people --lfw_pairs bad.txt": "pairs file 'bad.txt', line 2: expected",
    "train_softmax --data_dir people --model_def resnet7": "Unknown backbone 'resnet7'",
    "train_softmax --data_dir people --export xml": "Unknown export format 'xml'",
    "train_softmax --resume people": "people is not a run folder",
    "train_tripletloss --data_dir people --pretrained_model none": "--pretrained_model 'none' does not exist",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Command line → (exit status, imports of TensorFlow or Keras that were tried, what it said)."""
    folder = tmp_path_factory.mktemp("early")
    colors.write_model(folder / "model.keras")
    colors.write_people(folder / "people", ("Red", "Blue"), count=2)
    (folder / "red.png").write_bytes(colors.picture("Red", 1))
    (folder / "broken.keras").write_text("half a model")
    (folder / "small.tflite").write_text("a network")
    (folder / "good.txt").write_text("Red 1 2\nRed 1 Blue 2\n")
    (folder / "bad.txt").write_text("Red 1 2\nRed one two\n")
    Gallery(np.eye(3), ["Red", "Green", "Blue"], "other").save(folder / "gallery")
    done = subprocess.run([sys.executable, "-c", RUN], input=json.dumps(list(MISTAKES)), text=True, cwd=folder,
                          env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(MISTAKES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes_are_told_before_tensorflow_is_loaded(outcomes, line):
    status, imports, said = outcomes[line]
    assert MISTAKES[line] in said
    assert (status, imports) == (2, 0)
    assert len(said.splitlines()) == 1
