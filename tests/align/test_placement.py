"""Where faces lie, with a stand-in for the detector and, where real faces are at hand, with MTCNN."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tf_facenet.align import placement
from tf_facenet.align.crop import TEMPLATES


def detector(places, size=112):
    """Says of image i that its landmarks are places[i], in images so high, or that there is no face."""
    remaining = iter(places)

    def find(images):
        answers = []
        for image in images:
            where = next(remaining)
            none = where is None
            landmarks = np.empty((0, 5, 2)) if none else np.asarray(where)[None] * image.shape[0] / size
            answers.append(SimpleNamespace(boxes=np.zeros((len(landmarks), 4)), landmarks=landmarks))
        return answers

    return find


def measured(places, size=(112, 112)):
    return placement.measure([np.zeros((*size, 3), np.uint8)] * len(places), detector(places))


@pytest.mark.parametrize("size", [(112, 112), (112, 96), (224, 224), (900, 700), (56, 56)])
@pytest.mark.parametrize(("name", "verdict"), [
    ("112x112", "112x112 template "),
    ("112x96", "112x96 template, 8 px left of 112x112's ")])
def test_a_template_at_any_size(name, verdict, size):
    rng = np.random.default_rng(0)
    found = measured([TEMPLATES[name] + 1 + rng.normal(0, 1, (5, 2)) for _ in range(40)], size)
    assert found.template == name
    assert found.verdict()[1] is False
    assert found.verdict()[0].partition("(")[0] == verdict
    np.testing.assert_allclose(found.mean, TEMPLATES[name] + 1, atol=0.6)
    np.testing.assert_allclose(found.scatter, 1, atol=0.4)
    assert found.distance(name) == pytest.approx(np.sqrt(2), abs=0.3)


def test_faces_at_changing_places():
    rng = np.random.default_rng(0)
    found = measured([TEMPLATES["112x112"] + rng.normal(0, 9, 2) for _ in range(50)])
    assert found.verdict() == ("not aligned: eyes 35 px apart in images 112 px high, at changing places; "
                               "tf-facenet align puts faces on a template", True)


def test_steady_but_elsewhere():
    found = measured([TEMPLATES["112x112"] / 2 + 28] * 3)
    assert found.verdict() == ("aligned, but to no template known here: eyes 18 px apart in images 112 px high; "
                               "tf-facenet align puts faces on a template", True)
    assert placement.describe(found).startswith("left eye 47,54, right eye 65,54, nose 56,64,")


@pytest.mark.parametrize("places", [[None] * 4, [TEMPLATES["112x112"], None, None, TEMPLATES["112x112"]]])
def test_too_few_faces(places):
    found = measured(places)
    missing = sum(place is None for place in places)
    assert found.verdict() == (f"no face found in {missing} of 4 images", True)
    assert (found.looked_at, found.found) == (4, 4 - missing)


def test_the_central_one_of_several_faces_counts():
    boxes = np.array([[0, 0, 20, 20], [40, 40, 80, 80]])
    several = SimpleNamespace(boxes=boxes, landmarks=np.stack([np.zeros((5, 2)), TEMPLATES["112x112"]]))
    found = placement.measure([np.zeros((112, 112, 3), np.uint8)], lambda images: [several])
    assert found.template == "112x112"


def test_progress_counts_images():
    done = []
    places = [TEMPLATES["112x96"]] * 150
    placement.measure((np.zeros((9, 9, 3), np.uint8) for _ in places), detector(places), done.append)
    assert done == [64, 128, 150]


def test_real_faces_on_the_older_template(shared):
    pytest.importorskip("mtcnn")
    from tf_facenet.align.detect import Detector

    people = sorted((shared / "data" / "lfw_112").iterdir())[::400]
    pictures = [cv2.imread(str(next(person.iterdir())))[:, :, ::-1] for person in people]
    found = placement.measure(pictures, Detector())
    assert len(pictures) == 15
    assert found.verdict()[0].startswith("112x96 template, 8 px left of 112x112's")
