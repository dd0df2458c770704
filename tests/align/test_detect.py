import sys

import numpy as np
import pytest

from tests.align.photographs import annotated, drawn_photographs
from tf_facenet.align import boxes as box
from tf_facenet.align import detect, networks, pyramid
from tf_facenet.align.crop import TEMPLATES, similarity
from tf_facenet.align.detect import Detector
from tf_facenet.align.pyramid import pack
from tf_facenet.data.images import pixels

mtcnn = pytest.importorskip("mtcnn")


@pytest.fixture(scope="module")
def detector():
    return Detector()


@pytest.fixture(scope="module")
def package():
    """The package, one image at a time: [n, 16] with the box in columns 1 to 4, the score, five x, five y."""
    made = mtcnn.MTCNN()
    options = {"output_type": "numpy", "box_format": "xyxy", "fit_to_image": False}
    return lambda image: made.detect_faces(image.astype(np.float32), **options)


@pytest.fixture(scope="module")
def drawn():
    return drawn_photographs()


def assert_equal(found, expected, pixels):
    assert len(found) == len(expected)
    for name in ("boxes", "scores", "landmarks"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=pixels, rtol=0)


def assert_as_package(found, expected):
    """The same faces; a box differs only where rounding decided between two that overlap."""
    assert len(found) == len(expected)
    if len(found):
        shared = box.overlaps(found.boxes, expected[:, 1:5])
        assert min(shared.max(axis=0).min(), shared.max(axis=1).min()) > 0.95
        landmarks = expected[:, 6:].reshape(-1, 2, 5).transpose(0, 2, 1)[shared.argmax(axis=1)]
        assert np.abs(found.landmarks - landmarks).max() < 2


def test_the_first_network_is_the_packages(package):
    """Also at the edges of odd sizes and for tiles that lie beside others."""
    images = [np.random.default_rng(0).integers(0, 256, (29, 33, 3), np.uint8), np.full((31, 24, 3), 77, np.uint8)]
    sheets, = pack(images, 20, 0.8)
    propose, *_ = networks.load()
    tiles, places, scores, shifts = (part.numpy() for part in propose(sheets.pixels, sheets.owner, -1.0))
    assert len(tiles) == (sheets.owner >= 0).sum()
    network = mtcnn.stages.StagePNet().model
    for tile in range(len(sheets.scale)):
        own = tiles == tile
        i, j = (places[own] + sheets.origin[tile] // 2).T
        y, x = (-sheets.origin[tile])
        height, width = (int(side * sheets.scale[tile]) for side in images[sheets.image[tile]].shape[:2])
        level = sheets.pixels[:1, y : y + height, x : x + width, :3]
        expected_shifts, expected_scores = network((level - 127.5) / 128)
        np.testing.assert_allclose(scores[own], expected_scores.numpy()[0, i, j, 1], atol=1e-5)
        np.testing.assert_allclose(shifts[own], expected_shifts.numpy()[0, i, j], atol=1e-5)
        assert own.sum() == np.prod(expected_scores.shape[1:3])


def test_drawn_faces_as_the_package_finds_them(detector, package, drawn):
    found = detector(drawn)
    assert [len(one) for one in found] == [1, 1, 1, 2]
    for one, image in zip(found, drawn, strict=True):
        assert_as_package(one, package(image))
        assert one.boxes.dtype == one.scores.dtype == one.landmarks.dtype == np.float32
        assert (np.diff(one.scores) <= 0).all()


def test_landmarks_are_where_they_are_called(detector, drawn):
    left, right, nose, mouth_left, mouth_right = detector(drawn[:1])[0].landmarks[0]
    assert left[0] < nose[0] < right[0]
    assert mouth_left[0] < mouth_right[0]
    assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


def test_the_same_whatever_the_batch(detector, drawn):
    together = detector(drawn)
    for one, image in zip(together, drawn, strict=True):
        assert_equal(detector([image])[0], one, 1e-3)
    two = Detector(batch_size=2)
    for one, expected in zip(two(drawn[::-1]), together[::-1], strict=True):
        assert_equal(one, expected, 1e-3)


def test_the_same_in_small_parts(detector, drawn, monkeypatch):
    """At most two sheets, then three patches, go through a network at once."""
    expected, calls = detector(drawn), []

    def counted(network):
        return lambda *rows: calls.append(len(rows[0])) or network(*rows)

    monkeypatch.setattr(detect, "_SHEETS", 2)
    monkeypatch.setattr(detect, "_PATCHES", 3)
    monkeypatch.setattr(pyramid, "_PACKED", 100_000)
    real = detect._cut
    monkeypatch.setattr(detect, "_cut", lambda image, boxes, side: calls.append(len(boxes)) or real(image, boxes, side))
    parts = Detector()
    parts._propose, parts._refine, parts._decide = map(counted, (parts._propose, parts._refine, parts._decide))
    for one, whole in zip(parts(drawn), expected, strict=True):
        assert_equal(one, whole, 1e-3)
    assert max(calls) == 3


def test_a_face_may_lie_across_the_border(detector, drawn):
    found = detector([drawn[0][:, 95:]])[0]
    assert found.boxes[0, 0] < 0


def test_pictures_without_faces(detector):
    pictures = [np.zeros((60, 300, 3), np.uint8), np.zeros((19, 300, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)]
    for found in detector(pictures) + detector(pictures[1:]):
        assert found.boxes.shape == (0, 4)
        assert found.scores.shape == (0,)
        assert found.landmarks.shape == (0, 5, 2)
    assert detector([]) == []


@pytest.mark.parametrize(("image", "given"), [
    (np.zeros((9, 9, 3)), r"float64 \[9, 9, 3\]"), (np.zeros((9, 9), np.uint8), r"uint8 \[9, 9\]"),
    (np.zeros((9, 9, 4), np.uint8), r"uint8 \[9, 9, 4\]"), ("a.jpg", "str")])
def test_what_is_no_picture(detector, image, given):
    with pytest.raises(ValueError, match=f"a picture is {given}; expected uint8"):
        detector([image])


@pytest.mark.parametrize(("arguments", "message"), [
    ({"min_face_size": -1}, "min_face_size is -1"), ({"batch_size": 0}, "batch_size 0; expected at least 0 and 1"),
    ({"thresholds": (0.6, 0.7)}, "expected three numbers"), ({"thresholds": (0.6, 0.7, 7)}, "from 0 to 1"),
    ({"factor": 1.5}, "factor is 1.5; expected a number between 0 and 1")])
def test_numbers_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        Detector(**arguments)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "mtcnn.network", None)
    with pytest.raises(OSError, match=r"needs the package 'mtcnn': pip install 'mtcnn>=1.0'"):
        Detector()


def test_all_faces_of_photographs_and_nothing_else(detector, shared):
    images, marked = zip(*annotated(shared / "data" / "detection"), strict=True)
    found = detector(list(images))
    assert sum(map(len, marked)) == 43
    for one, boxes in zip(found, marked, strict=True):
        hits = box.overlaps(boxes, one.boxes.astype(float)) > 0.3
        assert hits.any(axis=1).all(), "a face is missed"
        assert hits.any(axis=0).all(), "a false alarm"


def test_lfw_as_the_package_finds_it_and_near_the_template(detector, package, shared):
    files = sorted((shared / "data" / "lfw_funneled_300").glob("*/*.jpg"))[::56]
    images = [pixels(file.read_bytes()) for file in files]
    distances = []
    for image, found in zip(images, detector(images), strict=True):
        assert_as_package(found, package(image))
        largest = found.landmarks[np.argmax(box.areas(found.boxes))]
        matrix = similarity(largest, TEMPLATES["112x96"])
        distances.append(np.abs(largest @ matrix[:, :2].T + matrix[:, 2] - TEMPLATES["112x96"]))
    assert len(distances) == 8
    assert np.mean(distances) < 2
    assert np.max(np.mean(distances, axis=(1, 2))) < 5
