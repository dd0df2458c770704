"""Faces of workers and of resumed runs: the same, or the difference is named."""

import json

import numpy as np
import pytest

from tf_facenet.data.faces import Faces
from tf_facenet.training import agreement


def make(labels, names):
    return Faces(np.array([b""] * len(labels), object), np.array(labels), list(names))


FACES = make([0, 0, 1], "ab")
OTHERS = {"people": (make([0, 1, 2], "abc"), "3 people against 2"),
          "names": (make([0, 0, 1], "ax"), "2 people against 2, with other names or in another order"),
          "order": (make([0, 0, 1], "ba"), "2 people against 2, with other names or in another order")}
IMAGES = {"fewer": (make([0, 1], "ab"), "2 images against 3, of the same people"),
          "labels": (make([0, 1, 1], "ab"), "3 images against 3, of the same people, divided otherwise")}


class Workers:
    """Workers as `agreement` sees them, of which all but the first have other faces."""

    def __init__(self, *faces):
        self.told = [agreement.facts(each) for each in faces]

    def exchange(self, value):
        return self.told


@pytest.mark.parametrize(("faces", "message"), [*OTHERS.values(), *IMAGES.values()], ids=[*OTHERS, *IMAGES])
def test_a_worker_with_other_faces_is_named(faces, message):
    agreement.check_workers(Workers(FACES, FACES), None)
    with pytest.raises(ValueError, match=f"worker 2 has another --data_dir than the chief: {message}; give all"):
        agreement.check_workers(Workers(FACES, FACES, faces), None)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "faces.json"
    path.write_text(json.dumps(agreement.facts(FACES)))
    return path


@pytest.mark.parametrize(("faces", "message"), OTHERS.values(), ids=OTHERS)
def test_resume_with_another_class_list(path, faces, message):
    with pytest.raises(ValueError, match=f"--data_dir is not what the run began with: {message}. The classes of the"):
        agreement.check_resumed(path, faces)


@pytest.mark.parametrize(("faces", "message"), IMAGES.values(), ids=IMAGES)
def test_resume_with_other_images_is_said(path, faces, message, caplog):
    agreement.check_resumed(path, faces)
    assert f"--data_dir has changed since the run began: {message}; it goes on" in caplog.text


def test_resume_with_the_same_faces_or_an_older_run_says_nothing(path, tmp_path, caplog):
    agreement.check_resumed(path, FACES)
    agreement.check_resumed(tmp_path / "none.json", FACES)
    assert not caplog.records
