"""References to images in record files, alone and among paths and images in memory."""

import itertools

import numpy as np
import pytest

from tests.pictures import encode, picture
from tf_facenet.data import batches, check, in_order
from tf_facenet.data.augment import Augmentation
from tf_facenet.data.faces import Faces
from tf_facenet.data.recordio import RecordWriter
from tf_facenet.data.samples import Samples, read

COUNT = 9
PICTURES = np.stack([picture(12, 14, seed) for seed in range(COUNT)])
PLAIN = Augmentation()


@pytest.fixture
def mixed(tmp_path):
    """Two record files, two files and an image in memory, in one order: the pictures'."""
    contents = [encode(image) for image in PICTURES]
    parts = []
    for name, rows in (("one", range(3)), ("two", range(3, 6))):
        with RecordWriter(tmp_path / f"{name}.rec", tmp_path / f"{name}.idx") as writer:
            for key in rows:
                writer.write(key, 0, contents[key])
        offsets = np.loadtxt(tmp_path / f"{name}.idx", np.int64)[:, 1]
        parts.append(Samples.of_records(str(tmp_path / f"{name}.rec"), offsets))
    for row in (6, 7):
        (tmp_path / f"{row}.png").write_bytes(contents[row])
    parts.append(np.array([str(tmp_path / "6.png"), str(tmp_path / "7.png")], object))
    memory = np.empty(1, object)
    memory[:] = contents[8:]
    parts.append(memory)
    return Samples.join([parts[0], parts[2], parts[1], parts[3]])[[0, 1, 2, 5, 6, 7, 3, 4, 8]]


def test_elements_are_paths_references_or_bytes(mixed, tmp_path):
    elements = list(mixed)
    assert elements == [mixed[row] for row in range(COUNT)] == mixed.tolist()
    assert elements[0] == f"{tmp_path}/one.rec@0"
    assert elements[6] == f"{tmp_path}/6.png"
    assert [read(element) for element in elements] == [encode(image) for image in PICTURES]
    assert Samples.of(elements).tolist() == elements
    assert mixed.contents([5, 0, 8]) == [encode(PICTURES[row]) for row in (5, 0, 8)]


@pytest.mark.parametrize("which", [
    slice(2, None), slice(None, None, -1), np.array([8, 0, 7, 7, 3]), np.arange(COUNT) % 2 == 0, np.array([], int)])
def test_selecting_is_selecting_elements(mixed, which):
    elements = np.empty(COUNT, object)
    elements[:] = list(mixed)
    assert mixed[which].tolist() == elements[which].tolist()
    assert len(mixed[which]) == len(elements[which])
    assert len(mixed[which].objects) == sum(not str(element).count(".rec@") for element in elements[which])


def test_joining_without_record_files_is_an_object_array():
    joined = Samples.join([np.array(["a"], object), np.array([b"b"], object)])
    assert isinstance(joined, np.ndarray)
    assert joined.tolist() == ["a", b"b"]


def test_batches_of_all_kinds_in_and_out_of_order(mixed):
    for samples in (list(mixed), mixed[:6]):
        pixels = np.concatenate(list(in_order.evaluation_batches(samples, 4, (12, 14))))
        np.testing.assert_array_equal(pixels, PICTURES[: len(samples)])
    faces = Faces(mixed, np.arange(COUNT), [str(c) for c in range(COUNT)])
    for images, labels in itertools.islice(batches.training_batches(faces, 5, (12, 14), PLAIN, 1), 4):
        np.testing.assert_array_equal(images, PICTURES[labels])
    np.testing.assert_array_equal(in_order.augmented_images(mixed[[3, 7]], (12, 14), PLAIN, [1, 2]), PICTURES[[3, 7]])


def test_splits_work_on_references(mixed):
    faces = Faces(mixed, np.arange(COUNT) % 3, list("abc"))
    training, held_out = faces.split_images(0.4, 0, 1)
    assert sorted(map(str, [*training.samples, *held_out.samples])) == sorted(map(str, mixed))


def test_a_record_that_is_damaged_later_is_replaced_or_named(mixed, caplog):
    path = mixed[1].partition("@")[0]
    with open(path, "r+b") as file:
        file.truncate(int(mixed[1].partition("@")[2]) + 20)
    faces = Faces(mixed, np.arange(COUNT), [str(c) for c in range(COUNT)])
    images, labels = next(iter(batches.training_batches(faces, COUNT, (12, 14), PLAIN, 1)))
    np.testing.assert_array_equal(images, PICTURES[labels])
    assert not np.isin([1, 2], labels).any()
    assert f"{mixed[1]} cannot be read any more; another image takes its place" in caplog.text
    with pytest.raises(OSError, match=r"cannot be read.*one\.rec@"):
        list(in_order.evaluation_batches(mixed, 4, 9))
    good, bad = check.readable(faces)
    assert len(good) == COUNT - 2
    assert [name for name, _ in bad[:2]] == [mixed[1], mixed[2]]
    assert "goes beyond the end of the file" in bad[0][1]
    assert "found the end of the file" in bad[1][1]
