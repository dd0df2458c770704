import pickle

import numpy as np
import pytest

from tests.inference.test_gallery import people, unit
from tf_facenet.inference import classifier as classifier_module
from tf_facenet.inference.classifier import (
    USUAL_SHARPNESS,
    Classifier,
    class_centers,
    class_sums,
    excess_of_means,
    own_cosine,
    unknown_threshold,
)


@pytest.fixture(scope="module")
def faces():
    """Embeddings, labels and names of twelve people, of whom the last two are never trained on."""
    rows, _ = people(count=12, each=20)
    return rows, np.repeat(np.arange(12), 20), [f"Person_{i}" for i in range(12)]


@pytest.fixture(scope="module")
def known(faces):
    rows, labels, names = faces
    return rows[labels < 10], labels[labels < 10], names[:10]


@pytest.fixture(scope="module", params=["mean", "svm"])
def classifier(request, known):
    rows, labels, names = known
    return Classifier.train(rows[::2], labels[::2], names, "the model", classifier=request.param)


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


def test_many_faces_are_named_in_parts(classifier, known, monkeypatch):
    whole = classifier.predict(known[0])
    monkeypatch.setattr(classifier_module, "CHUNK", 7)
    for part, expected in zip(classifier.predict(known[0]), whole, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["mean", "svm"])
def test_two_people(known, name):
    rows, labels, names = known
    chosen = labels < 2
    classifier = Classifier.train(rows[chosen], labels[chosen], names[:2], classifier=name)
    assert classifier.planes.shape == (2, rows.shape[1])
    np.testing.assert_array_equal(classifier.predict(rows[chosen])[0], labels[chosen])


@pytest.mark.parametrize("name", ["mean", "svm"])
def test_one_image_each(name):
    classifier = Classifier.train(np.eye(30, dtype=np.float32), np.arange(30), list(map(str, range(30))),
                                  classifier=name)
    assert classifier.sharpness == USUAL_SHARPNESS
    classes, probabilities, _ = classifier.predict(np.eye(30))
    np.testing.assert_array_equal(classes, np.arange(30))
    assert (probabilities > 0.95).all()


@pytest.mark.parametrize("name", ["mean", "svm"])
def test_one_more_person_of_a_single_photograph_makes_nobody_less_certain(name):
    """With one example of somebody nothing can be held out of them, which once made all probabilities flat."""
    rows, _ = people(count=21, each=10, width=64, decay=1.0)
    labels = np.repeat(np.arange(21), 10)
    rows, labels = rows[:201], labels[:201]
    classifier = Classifier.train(rows, labels, list(map(str, range(21))), classifier=name)
    classes, probabilities, _ = classifier.predict(rows)
    np.testing.assert_array_equal(classes, labels)
    assert np.median(probabilities) > 0.99
    assert probabilities[-1] > 0.95


def test_a_mean_of_many_images_does_not_win_over_a_single_one():
    """Ann has six images, each at 60 degrees from the others, Bob has one. The query is as near to Bob's image as to
    each of Ann's (cosine 0.5): her mean is nearer by far, and exactly as much as a mean of six is.
    """
    cosines = np.full((8, 8), 0.5)
    np.fill_diagonal(cosines, 1)
    cosines[6, :6] = cosines[:6, 6] = 0
    rows = np.linalg.cholesky(cosines).astype(np.float32)  # products of rows are these cosines
    classifier = Classifier.train(rows[:7], np.array([0] * 6 + [1]), ["ann", "bob"])
    np.testing.assert_allclose(rows[7] @ classifier.centers.T, [0.5 * (6 / 3.5) ** 0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(rows[7] @ classifier.planes.T + classifier.offsets, [0.5, 0.5], atol=1e-6)


def test_excess_by_hand():
    np.testing.assert_allclose(excess_of_means(np.array([1, 3]), 0.5), [0, 0.5 * (1.5**0.5 - 1)], atol=1e-6)
    np.testing.assert_array_equal(excess_of_means(np.array([1, 9]), 0.0), [0, 0])
    rows, labels = unit(np.array([[1.0, 0], [0.6, 0.8], [0, 1]])), np.array([0, 0, 1])
    assert own_cosine(class_sums(rows, labels, 2), np.bincount(labels)) == pytest.approx(0.6, rel=1e-6)
    assert own_cosine(rows, np.ones(3, int)) == 0


def test_two_faces_that_are_recognised_do_not_make_every_answer_certain():
    few = np.repeat(np.eye(2, dtype=np.float32), 2, axis=0)
    assert Classifier.train(few, np.repeat([0, 1], 2), ["ann", "bob"]).sharpness == USUAL_SHARPNESS


def test_unknown_classifier():
    with pytest.raises(ValueError, match="Unknown classifier 'knn'. Choose one of: mean, svm"):
        Classifier.train(np.eye(2), np.arange(2), ["ann", "bob"], classifier="knn")


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


def test_files_of_older_versions_mean_what_they_meant(tmp_path):
    """Planes of a support vector machine beside the centres, and the sharpness that was found for them."""
    np.savez(tmp_path / "old.npz", names=np.frombuffer(b"ann\0bob", np.uint8), centers=np.eye(2, dtype=np.float32),
             planes=np.array([[-2.0, 1], [2, -1]]), offsets=np.array([0.5, -0.5]), sharpness=3.0, threshold=0.4,
             model_id="m")
    classes, probabilities, similarities = Classifier.load(tmp_path / "old.npz").predict(np.array([[0.6, 0.8]]))
    assert classes.tolist() == [0]  # the planes say 0.1 and -0.1, though bob's centre is nearer
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-3 * 0.2)), rtol=1e-6)
    np.testing.assert_allclose(similarities, 0.8)


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
