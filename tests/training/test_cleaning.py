"""Dominant centres and the images far from them, by hand and on noisy clusters."""

import csv

import numpy as np
import pytest

from tf_facenet import heads
from tf_facenet.data.faces import Faces
from tf_facenet.training import cleaning, pretrained
from tf_facenet.training.checkpoints import Checkpoints


def unit(degrees):
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=-1)


def test_by_hand():
    """Class 0: three images near its centre at 0°, one at its centre at 90°. Class 1 has none."""
    centers = np.array([[2 * unit(90), 3 * unit(0)], [unit(45), unit(200)]])
    found = cleaning.clean(unit(np.array([10.0, -20.0, 0.0, 80.0])), np.zeros(4, int), centers)
    np.testing.assert_allclose(found.angles, [10, 20, 0, 80], atol=1e-6)
    np.testing.assert_allclose(found.centers, [3 * unit(0), unit(45)])


def test_wrong_labels_are_found_and_right_ones_stay():
    rng = np.random.default_rng(0)
    people = rng.standard_normal((30, 64))
    truth, labels = np.repeat(np.arange(30), 20), np.repeat(np.arange(30), 20)
    wrong = rng.random(600) < 0.2
    labels[wrong] = (labels[wrong] + rng.integers(1, 30, wrong.sum())) % 30
    rows = people[truth] + 0.5 * rng.standard_normal((600, 64))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    centers = np.stack([rng.standard_normal((30, 64)), people], axis=1)
    assert ((cleaning.clean(rows, labels, centers).angles > 60) == (labels != truth)).all()


@pytest.fixture
def saved(tmp_path):
    faces = Faces(np.array(["a/1.jpg", "a/2.jpg", "b/1,2.jpg"], object), np.array([0, 0, 1]), ["a", "b"])
    found = cleaning.Cleaning(np.array([10.0, 80.0, 120.5]), np.array([[1.0, 2], [3, 4]], "float32"))
    assert cleaning.save(found, faces, 75, tmp_path) == 2
    return tmp_path


def test_the_list_has_the_farthest_first(saved):
    with open(saved / "far_images.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["image", "person", "degrees"], ["b/1,2.jpg", "b", "120.5"], ["a/2.jpg", "a", "80.0"]]


def test_a_new_head_starts_from_the_dominant_centres_by_name(saved):
    head = heads.create("arcface", 2, 2)
    assert pretrained.load_head(head, saved, ["b", "a"])
    np.testing.assert_array_equal(head.centers, [[3, 4], [1, 2]])


def test_a_margin_begins_anew_on_known_centres(tmp_path):
    (tmp_path / "metadata.json").write_text('{"class_names": ["a", "b"]}')
    old, new = (heads.create("arcface", 2, 2, margin_warmup_steps=9) for _ in range(2))
    old.margin.warmed.assign(5.0)
    old.fill(np.ones((2, 2), "float32"))
    Checkpoints(tmp_path / "checkpoints").save({"model": old.weights}, 1)
    assert pretrained.load_head(new, tmp_path, ["a", "b"])
    np.testing.assert_array_equal(new.centers, 1)
    assert float(new.margin.warmed) == 0


def test_people_without_a_centre_leave_the_head_new(saved):
    head = heads.create("arcface", 2, 2)
    assert not pretrained.load_head(head, saved, ["b", "c"])
    assert np.abs(head.centers).max() < 0.1


def test_a_run_without_checkpoints_or_centres(tmp_path):
    with pytest.raises(OSError, match="has no checkpoint; expected the folder of a finished"):
        cleaning.read_centers(tmp_path, 2)


@pytest.mark.parametrize("content", [b"", b"PK", b"hello", b"\x93NUMPY\x01\0\x0a\0{'descr':\n"])
def test_damaged_centers(content, tmp_path):
    (tmp_path / cleaning.CENTERS).write_bytes(content)
    with pytest.raises(ValueError, match=r"dominant_centers.npz' is damaged .* tf-facenet clean"):
        cleaning.read_dominant(tmp_path / cleaning.CENTERS, ["a"])
