"""Pairs of own faces: the protocol's rules, the two forms of the file, and what is refused."""

import itertools

import numpy as np
import pytest

from tf_facenet.data.faces import Faces
from tf_facenet.data.folders import read_folder
from tf_facenet.data.pairs import load_pairs
from tf_facenet.data.pairs_making import make_pairs, write_pairs

COUNTS = [40, 9, 7, 5, 4, 4, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 1]


def faces_of(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    samples = np.array([f"{number}.jpg" for number in range(len(labels))], object)
    return Faces(samples, labels, [f"p{person}" for person in range(len(counts))])


def folder_of(root, counts, name="{person}/{person}_{number:04d}.jpg"):
    for person, count in enumerate(counts):
        for number in range(1, count + 1):
            path = root / name.format(person=f"p{person}", number=number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


@pytest.mark.parametrize(("folds", "pairs"), [(2, 40), (3, 20), (4, 1)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_rules_of_the_protocol(folds, pairs, seed):
    faces = faces_of(COUNTS)
    rows = make_pairs(faces, folds, pairs, seed)
    assert rows.shape == (folds, 2, pairs, 2)
    labels = faces.labels[rows]
    assert (labels[:, 0, :, 0] == labels[:, 0, :, 1]).all()
    assert (labels[:, 1, :, 0] != labels[:, 1, :, 1]).all()
    assert (rows[..., 0] != rows[..., 1]).all()
    assert len(np.unique(np.sort(rows.reshape(-1, 2), axis=1), axis=0)) == 2 * folds * pairs
    members = [set(fold.ravel()) for fold in labels]
    assert not any(a & b for a, b in itertools.combinations(members, 2))
    assert (make_pairs(faces, folds, pairs, seed) == rows).all()
    assert (make_pairs(faces, folds, pairs, seed + 1) != rows).any()


def test_the_largest_number_and_one_more():
    # Dealt to and fro, one fold gets the people with 4, 1, 1 images and the other those with 3, 2, 1.
    faces = faces_of([4, 3, 2, 1, 1, 1])
    assert make_pairs(faces, 2, 4).shape == (2, 2, 4, 2)
    with pytest.raises(ValueError, match=r"6 people with 12 images, 3 of them with two or more, are too few for 2 "
                                         r"folds of 5 same and 5 different pairs. At most --folds 2 --pairs 4 is pos"):
        make_pairs(faces, 2, 5)


@pytest.mark.parametrize(("counts", "folds", "pairs", "remedy"), [
    ([4, 3, 2, 1, 1, 1], 3, 4, "At most --folds 3 --pairs 1 or --folds 2 --pairs 4 is possible"),
    ([4, 3, 2, 1, 1, 1], 10, 300, "At most --folds 2 --pairs 4 is possible"),
    ([9], 2, 1, "A fold needs two people, one of them with two images"),
    ([1] * 9, 2, 1, "A fold needs two people, one of them with two images")])
def test_too_few(counts, folds, pairs, remedy):
    with pytest.raises(ValueError, match=remedy):
        make_pairs(faces_of(counts), folds, pairs)


@pytest.mark.parametrize(("folds", "pairs", "message"), [
    (1, 3, "--folds is 1; expected at least 2"), (2, 0, "--pairs is 0; expected at least 1")])
def test_numbers_that_cannot_be(folds, pairs, message):
    with pytest.raises(ValueError, match=message):
        make_pairs(faces_of(COUNTS), folds, pairs)


def test_people_with_many_images_do_not_crowd_out_the_others():
    faces = faces_of([200] + [3] * 19 + [1] * 20)
    rows = make_pairs(faces, 2, 25)
    fold = next(fold for fold in rows if (faces.labels[fold[0]] == 0).any())
    people, same = np.unique(faces.labels[fold[0, :, 0]], return_counts=True)
    assert (len(people), people[0]) == (10, 0)
    assert same.min() == 2
    assert same.max() == 3
    assert (faces.labels[fold[1]] == 0).sum() <= 8  # by images of each person it would be 40 of 50


@pytest.mark.parametrize(("name", "is_lfw"), [
    ("{person}/{person}_{number:04d}.jpg", True), ("{person}/{person}_{number:04d}.PNG", True),
    ("{person}/img {number}.jpg", False), ("{person} x/{person} x_{number:04d}.jpg", False),
    ("{person}/2019/{person}_{number:04d}.jpg", False), ("{person}/{person}_{number}.jpg", False),
    ("caf\udce9{person}/{number}\u2028.jpg", False)])
def test_round_trip(tmp_path, name, is_lfw):
    folder = folder_of(tmp_path / "faces", [4, 3, 3, 2, 1, 1], name)
    faces = read_folder(folder)
    rows = make_pairs(faces, 2, 3)
    path = tmp_path / "pairs.txt"
    assert write_pairs(path, faces, rows, folder) is is_lfw
    assert path.read_bytes().startswith(b"2\t3\n")
    pairs = load_pairs(folder, path)
    assert pairs.images.tolist() == faces.samples[rows.ravel()].tolist()
    assert pairs.same.tolist() == ([True] * 3 + [False] * 3) * 2
    assert pairs.folds.tolist() == [0] * 6 + [1] * 6
    assert pairs.missing == []


def test_lfws_form_is_written_as_lfw_does(tmp_path):
    folder = folder_of(tmp_path / "faces", [2, 2, 1, 1])
    faces = read_folder(folder)
    write_pairs(tmp_path / "pairs.txt", faces, np.array([[[[0, 1]], [[0, 4]]], [[[2, 3]], [[3, 5]]]]), folder)
    assert (tmp_path / "pairs.txt").read_text() == "2\t1\np0\t1\t2\np0\t1\tp2\t1\np1\t1\t2\np1\t2\tp3\t1\n"


def test_two_files_of_one_number_are_told_apart(tmp_path):
    folder = folder_of(tmp_path / "faces", [2, 2, 1, 1])
    (folder / "p0" / "p0_0001.png").touch()
    faces = read_folder(folder)
    rows = np.array([[[[0, 1]], [[0, 5]]], [[[3, 4]], [[3, 6]]]])
    assert not write_pairs(tmp_path / "pairs.txt", faces, rows, folder)
    assert load_pairs(folder, tmp_path / "pairs.txt").images.tolist() == faces.samples[rows.ravel()].tolist()


def test_a_name_that_no_line_holds(tmp_path):
    folder = folder_of(tmp_path / "faces", [2, 2, 1, 1], "{person}\n/{number}.jpg")
    faces = read_folder(folder)
    with pytest.raises(ValueError, match=r"The name 'p0\\n/1.jpg' has a tab or a line break"):
        write_pairs(tmp_path / "pairs.txt", faces, make_pairs(faces, 2, 1), folder)
    assert not (tmp_path / "pairs.txt").exists()
