"""The tour, command by command, as a reader would type it."""

import numpy as np
import pytest

import train_softmax
import validate_on_lfw
from tests.conftest import ROOT
from tests.test_docs import commands
from tf_facenet import cli

SCRIPTS = {"train_softmax.py": train_softmax.main, "validate_on_lfw.py": validate_on_lfw.main}
OWN = ("photographs", "faces")  # what the reader must bring


@pytest.fixture
def tour(tmp_path, monkeypatch):
    """Folder in which the tour is made."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tour"


def run(tour, command):
    """Run one command line; <time> is the name of the run."""
    name = "".join(path.name for path in tour.glob("runs/*"))
    program, *words = [word.replace("runs/time", f"runs/{name}") for word in command]
    call = SCRIPTS[words.pop(0)] if program == "python" else cli.run_command
    assert call(words) == 0, command


def test_every_command(tour, capsys):
    said = {}
    for command in commands(ROOT / "docs" / "tour.md"):
        if command[2] not in OWN:
            run(tour, command)
            said[command[1]] = capsys.readouterr().out
    assert "of 400 images are" not in said["check"]
    assert "0 1  " in said["compare"]
    assert "tour/faces/person_000003/00000034.jpg: person_000003 (0.000)" in said["identify"]
    assert "400 faces of 40 people" in said["enroll"]
    assert "Accuracy: " in said["validate_on_lfw.py"]
    with np.load(tour / "embeddings.npz", allow_pickle=False) as arrays:
        assert arrays["embeddings"].shape == (400, 64)
    for name in ("check.html", "report.html", "people.npz", "distances.csv", "saved_model/saved_model.pb"):
        assert (tour / name).is_file(), name
