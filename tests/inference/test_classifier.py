import pickle

import numpy as np
import pytest

from tests.inference.test_gallery import people, unit
from tf_facenet.inference.classifier import Classifier, class_centers, unknown_threshold


@pytest.fixture(scope="module")
def faces():
    """Embeddings, labels and names of twelve people, of whom the last two are never trained on."""
    rows, _ = people(count=12, each=20)
    return rows, np.repeat(np.arange(12), 20), [f"Person_{i}" for i in range(12)]


@pytest.fixture(scope="module")
def known(faces):
    rows, labels, names = faces
    return rows[labels < 10], labels[labels < 10], names[:10]


@pytest.fixture(scope="module")
def classifier(known):
    rows, labels, names = known
    return Classifier.train(rows[::2], labels[::2], names, "the model")


def test_people_it_knows(classifier, known):
    rows, labels, _ = known
    classes, probabilities, similarities = classifier.predict(rows[1::2])
    assert np.mean(classes == labels[1::2]) > 0.98
    assert np.mean(similarities >= classifier.threshold) > 0.9
    assert ((probabilities > 0.1) & (probabilities <= 1)).all()


def test_people_it_does_not_know(classifier, faces):
    rows, labels, _ = faces
    similarities = classifier.predict(rows[labels >= 10])[2]
    assert np.mean(similarities < classifier.threshold) > 0.9


def test_probabilities_are_a_softmax_of_the_sharpened_distances(classifier, known):
    rows = known[0][:7]
    scores = classifier.sharpness * (rows @ classifier.planes.T + classifier.offsets)
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    classes, probabilities, _ = classifier.predict(rows)
    np.testing.assert_array_equal(classes, expected.argmax(axis=1))
    np.testing.assert_allclose(probabilities, expected.max(axis=1), rtol=1e-5)


def test_two_people(known):
    rows, labels, names = known
    chosen = labels < 2
    classifier = Classifier.train(rows[chosen], labels[chosen], names[:2])
    assert classifier.planes.shape == (2, rows.shape[1])
    np.testing.assert_array_equal(classifier.predict(rows[chosen])[0], labels[chosen])


def test_one_image_each():
    classifier = Classifier.train(np.eye(4, dtype=np.float32), np.arange(4), list("abcd"))
    assert classifier.sharpness == 1
    np.testing.assert_array_equal(classifier.predict(np.eye(4))[0], np.arange(4))


def test_one_person():
    with pytest.raises(ValueError, match="at least two people; got 1"):
        Classifier.train(np.eye(2), np.zeros(2, int), ["ann"])


def test_centers_at_known_angles():
    rows = unit(np.array([[1.0, 0], [0, 1], [0, 5]]))
    np.testing.assert_allclose(class_centers(rows, np.array([0, 0, 1]), 3), [[0.5**0.5, 0.5**0.5], [0, 1], [0, 0]],
                               atol=1e-6)


def test_the_threshold_comes_from_other_peoples_centers():
    rows = np.eye(3, dtype=np.float32)
    centers = unit(np.array([[1.0, 0.1, 0], [0, 1, 0.2], [0.3, 0, 1]]))
    others = centers.copy() @ rows.T
    np.fill_diagonal(others, -1)
    for far in (0, 0.5, 1):
        expected = np.quantile(others.max(axis=0), 1 - far)
        np.testing.assert_allclose(unknown_threshold(rows, np.arange(3), centers, far), expected, rtol=1e-6)


def test_saved_and_loaded(classifier, known, tmp_path):
    classifier.save(tmp_path / "people.npz")
    loaded = Classifier.load(tmp_path / "people.npz")
    assert loaded.names == classifier.names
    assert (loaded.threshold, loaded.sharpness) == (classifier.threshold, classifier.sharpness)
    loaded.check_model("the model")
    for before, after in zip(classifier.predict(known[0]), loaded.predict(known[0]), strict=True):
        np.testing.assert_array_equal(before, after)


def test_other_models(classifier):
    with pytest.raises(ValueError, match="trained with model the model, this is another"):
        classifier.check_model("another")
    with pytest.raises(ValueError, match="embeddings of 3 numbers, the classifier was trained on 32"):
        classifier.predict(np.eye(3))


class Code:
    def __reduce__(self):
        return pytest.fail, ("the file ran code",)


@pytest.mark.parametrize("content", [pickle.dumps((Code(), ["ann"])), b"", b"PK\x03\x04", b"text"])
def test_files_that_are_no_classifiers(content, tmp_path):
    (tmp_path / "c.npz").write_bytes(content)
    with pytest.raises(ValueError, match="is not a classifier"):
        Classifier.load(tmp_path / "c.npz")


@pytest.mark.parametrize("changes", [
    {"centers": np.zeros((9, 4))}, {"planes": np.zeros(10)}, {"offsets": np.zeros(3)}, {"centers": np.float32(1)},
    {"planes": np.full((10, 64), np.nan)}, {"names": np.zeros(1, np.uint8)}, {"threshold": np.array("x")},
    {"sharpness": np.zeros(2)}, {"model_id": np.array(7)}, {"offsets": np.zeros(10, complex)}])
def test_arrays_that_do_not_fit(classifier, changes, tmp_path):
    classifier.save(tmp_path / "people.npz")
    with np.load(tmp_path / "people.npz", allow_pickle=False) as arrays:
        np.savez(tmp_path / "other.npz", **{**arrays, **changes})
    with pytest.raises(ValueError, match="other.npz' is not a classifier"):
        Classifier.load(tmp_path / "other.npz")


def test_an_archive_that_points_before_its_beginning(classifier, tmp_path):
    """The module zipfile answers with an OSError of its own."""
    classifier.save(tmp_path / "people.npz")
    content = bytearray((tmp_path / "people.npz").read_bytes())
    at = content.rindex(b"PK\5\6") + 16
    content[at:at + 4] = (2**32 - 2).to_bytes(4, "little")
    (tmp_path / "people.npz").write_bytes(content)
    with pytest.raises(ValueError, match="people.npz' is not a classifier"):
        Classifier.load(tmp_path / "people.npz")
