import weakref

import numpy as np
import pytest

from tests.cli import colors
from tests.pictures import encode
from tf_facenet.align.detect import Detections
from tf_facenet.data import few_at_once
from tf_facenet.inference import photographs
from tf_facenet.inference.embedder import Embedder

LANDMARKS = np.array([[4, 5], [11, 5], [8, 8], [5, 12], [10, 12]], np.float32)


class Squares:
    """Finds every bright square of 16 pixels: a detector whose boxes are known."""

    calls = []  # for each the pictures, by weak references

    def __init__(self, *_, **__):
        self.calls.clear()

    def __call__(self, pictures):
        assert not any(picture() is not None for call in self.calls for picture in call), "pixels stay in memory"
        self.calls.append([weakref.ref(picture) for picture in pictures])
        return [self._find(picture) for picture in pictures]

    def _find(self, picture):
        corners = [(y, x) for y in range(0, picture.shape[0], 16) for x in range(0, picture.shape[1], 16)
                   if picture[y + 8, x + 8].max() > 100]
        boxes = np.array([[x, y, x + 16, y + 16] for y, x in corners], np.float32).reshape(-1, 4)
        return Detections(boxes, np.ones(len(boxes)), LANDMARKS + boxes[:, None, :2])


@pytest.fixture
def embedder(tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "Detector", Squares)
    return Embedder.load(colors.write_model(tmp_path / "model.keras"))


def photograph(*squares):
    """Dark, 48 pixels, with squares of a colour at (row, column)."""
    image = np.zeros((48, 48, 3), np.uint8)
    for (row, column), color in squares:
        image[16 * row:16 * row + 16, 16 * column:16 * column + 16] = color
    return encode(image)


def test_the_face_is_found_and_embedded(embedder):
    how = photographs.recipe(embedder.metadata, margin=0)
    red, blue = colors.COLORS["Red"], colors.COLORS["Blue"]
    samples = [photograph(((0, 2), red)), photograph(), b"no image", photograph(((1, 1), blue)), "nowhere.jpg"]
    done = []
    found = photographs.embed(embedder, samples, how, progress=done.append)
    assert found.rows.tolist() == [0, 3]
    assert [row for row, _ in found.missed] == [1, 2, 4]
    assert [reason.split(" ")[0] for _, reason in found.missed] == ["no", "not", "cannot"]
    expected, quality = embedder.embed(np.stack([np.full((16, 16, 3), color, np.uint8) for color in (red, blue)]),
                                       quality=True)
    np.testing.assert_allclose(found.embeddings, expected, atol=1e-6)
    np.testing.assert_allclose(found.quality, quality, atol=1e-6)
    assert done == [1, 2, 3, 4, 5]


def test_pictures_are_decoded_by_pixels_and_given_up(embedder, monkeypatch):
    """Many small ones go together, of large ones as many as have so many pixels; each batch of faces is embedded."""
    how = photographs.recipe(embedder.metadata, margin=0)
    samples = [photograph(((0, row % 3), color)) for row, color in enumerate(colors.COLORS.values())] * 5
    whole = photographs.embed(embedder, samples, how)
    assert [len(call) for call in Squares.calls] == [16, 4]
    monkeypatch.setattr(few_at_once, "_PIXELS", 3 * 48 * 48)
    embedder.batch_size = 7
    parts = photographs.embed(embedder, samples, how)
    assert [len(call) for call in Squares.calls] == [3] * 6 + [2]
    assert parts.rows.tolist() == list(range(20))
    np.testing.assert_allclose(parts.embeddings, whole.embeddings, atol=1e-6)
    np.testing.assert_allclose(parts.quality, whole.quality, rtol=1e-6)


def test_one_of_several_faces(embedder):
    red, blue = colors.COLORS["Red"], colors.COLORS["Blue"]
    sample = photograph(((0, 0), red), ((1, 1), blue))
    how = photographs.recipe(embedder.metadata, rule="central", margin=0)
    expected = embedder.embed(np.full((1, 16, 16, 3), blue, np.uint8))
    np.testing.assert_allclose(photographs.embed(embedder, [sample], how).embeddings, expected, atol=1e-6)


def test_no_face_at_all(embedder):
    with pytest.raises(ValueError, match="no face in any of the 2 photographs.*--align none"):
        photographs.embed(embedder, [photograph()] * 2, photographs.recipe(embedder.metadata))


def test_no_photograph_that_can_be_read(embedder):
    with pytest.raises(ValueError, match=r"of the 1 photographs \(cannot be read: .*\). Name files that can be read.$"):
        photographs.embed(embedder, ["nowhere.jpg"], photographs.recipe(embedder.metadata))


def test_embed_with_align(embedder):
    red, blue = (photograph(((1, 0), colors.COLORS[name])) for name in ("Red", "Blue"))
    how = photographs.recipe(embedder.metadata)
    expected = photographs.embed(embedder, [red, blue], how)
    embeddings, quality = embedder.embed([red, blue], quality=True, align="auto")
    np.testing.assert_array_equal(embeddings, expected.embeddings)
    np.testing.assert_array_equal(quality, expected.quality)
    with pytest.raises(ValueError, match=r"1 of 2 photographs cannot be embedded, the first: .*\(no face found\)"):
        embedder.embed([red, photograph()], align="auto")


@pytest.mark.parametrize(("metadata", "align", "message"), [
    ({"image_size": [112, 112], "template": "112x96"}, "auto", "112x96 do not fit a network of 112x112"),
    ({"image_size": [112, 96], "template": ""}, "auto", "the network takes 112x96"),
    ({"image_size": [112, 112], "template": ""}, "5x5", "Unknown template '5x5'"),
])
def test_cuts_that_do_not_fit(metadata, align, message):
    with pytest.raises(ValueError, match=message):
        photographs.recipe(metadata, align)


def test_the_template_of_the_model():
    how = photographs.recipe({"image_size": [112, 96], "template": "112x96"})
    assert (how.template, how.window) == ("112x96", (0, 0, 112, 96))
    small = {"image_size": [96, 80], "template": "112x96", "options": {"crop": [0.5, 0.0]}}
    assert photographs.recipe(small).window == (8, 0, 96, 80)
    assert photographs.recipe({"image_size": [112, 112], "template": "112x96"}, "margin").template == ""
