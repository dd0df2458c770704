"""What a pass over a data set finds, against Pillow, NumPy and files made to be odd."""

import cv2
import numpy as np
import pytest

from tests.pictures import encode, exif, picture, with_exif, write
from tf_facenet.data import load
from tf_facenet.data.faces import Faces
from tf_facenet.data.survey import Fact, image_facts, people_facts, survey

ONE, TWO, THREE = (encode(picture(seed=seed)) for seed in (0, 1, 2))
BIG = encode(picture(600, 900, seed=3))
GREY = encode(picture(seed=4), mode="L")


def texts(facts):
    return {fact.label: fact.text for fact in facts}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root = write(tmp_path_factory.mktemp("survey"), {
        "a/1.png": ONE, "a/2.png": TWO, "a/copy of 1.png": ONE, "a/again 1.png": ONE, "a/empty.jpg": b"",
        "b/1.png": THREE, "b/2.png": GREY, "b/turned.jpg": with_exif(encode(picture(), "JPEG"), exif(6)),
        "c/copy of b.png": THREE, "c/cut.png": TWO[:-50], "A_/big.png": BIG})
    done = []
    result = survey(load(root), 2, done.append)
    assert done[-1] == 11
    return root, result


def names(root, found, groups):
    return [[found.faces.samples[row].removeprefix(f"{root}/") for row in rows] for rows in groups]


def test_copies_of_one_person_and_of_several(found):
    assert names(*found, found[1].repeated) == [["a/1.png", "a/again 1.png", "a/copy of 1.png"]]
    assert names(*found, found[1].mixed) == [["b/1.png", "c/copy of b.png"]]


def test_unreadable_files_have_reasons(found):
    root, result = found
    assert result.bad == [(f"{root}/a/empty.jpg", "empty file"), (f"{root}/c/cut.png", "truncated or corrupt PNG")]
    assert len(result.rows) == 9


def test_sizes_and_colours(found):
    result = found[1]
    sizes = {result.faces.samples[row].rpartition("/")[2]: size.tolist()
             for row, size in zip(result.rows, result.sizes, strict=True)}
    assert sizes["big.png"] == [600, 900]
    assert sizes["turned.jpg"] == [40, 30]
    assert sizes["1.png"] == [30, 40]
    assert result.grey == pytest.approx(1 / 9)
    pictures = [cv2.imread(result.faces.samples[row])[:, :, ::-1].astype(float) for row in result.rows]
    mean = np.mean([image.mean((0, 1)) for image in pictures], axis=0)
    square = np.mean([(image**2).mean((0, 1)) for image in pictures], axis=0)
    np.testing.assert_allclose(result.mean, mean, atol=0.2)  # of the large picture every third row counts
    np.testing.assert_allclose(result.std, np.sqrt(square - mean**2), atol=0.2)


def test_facts_about_images(found):
    root, result = found
    facts = texts(image_facts(result))
    assert facts["size"] == "40x30 (width x height), 7 (78%) of the images"
    assert facts["sizes"] == "3, width 30 to 900, median 40; height 30 to 600, median 30"
    assert facts["unreadable"] == f"2, such as {root}/a/empty.jpg (empty file)"
    assert facts["duplicates"].startswith("2 copies of another image of the same person, such as ")
    assert facts["wrong labels?"].endswith(f"such as {root}/b/1.png and {root}/c/copy of b.png")
    assert [fact.label for fact in image_facts(result) if fact.odd] == ["unreadable", "duplicates", "wrong labels?"]


def test_a_jpeg_of_a_grey_picture_is_grey():
    grey = np.repeat(picture(64, 64)[:, :, :1], 3, axis=2)
    tinted = grey.copy()
    tinted[..., 2] = np.maximum(grey[..., 2], 8) - 8
    samples = np.array([encode(grey, "JPEG", quality=60), encode(tinted, "PNG")], object)
    assert survey(Faces(samples, np.array([0, 1]), ["a", "b"])).grey == 0.5


def test_people_without_a_pass():
    faces = Faces(np.array(list("abcdefgh"), object), np.repeat([0, 1, 3], [1, 1, 6]), ["Al_Gore", "al gore", "c", "d"])
    assert people_facts(faces) == [
        Fact("people", "4"), Fact("images", "8, a person has 0 to 6, median 1"),
        Fact("few images", "2 (50%) of the people have one image, 3 (75%) fewer than five", True),
        Fact("labels", "0 to 3, 1 without an image", True),
        Fact("names", "1 people may be there twice, such as 'Al_Gore' and 'al gore'", True)]


def test_a_clean_set_has_nothing_odd():
    faces = load("drawn:people=3,images=5,size=32")
    assert not any(fact.odd for fact in people_facts(faces) + image_facts(survey(faces)))


def test_not_one_readable_image(tmp_path):
    write(tmp_path, {"a/1.jpg": b"", "b/1.jpg": b""})
    with pytest.raises(ValueError, match="None of the 2 images can be read, the first: .*empty file"):
        survey(load(tmp_path))
