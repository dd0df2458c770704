import cv2
import numpy as np
import pytest

from tests.pictures import picture
from tf_facenet.align import pyramid

SIZES = [(30, 40), (61, 25), (19, 300), (20, 20), (900, 47), (1300, 1101), (5, 5)]


@pytest.mark.parametrize(("height", "width", "face"), [(250, 250, 20), (20, 90, 20), (480, 640, 40), (100, 100, 12)])
def test_scales_begin_at_the_smallest_face_and_end_at_the_whole_picture(height, width, face):
    scales = pyramid.scales(height, width, face, 0.709)
    assert scales[0] == 12 / face
    assert height * scales[-1] >= 12 - 1e-9 > height * scales[-1] * 0.709
    np.testing.assert_allclose(scales[1:] / scales[:-1], 0.709)


def test_a_picture_that_is_smaller_than_a_face_has_none():
    assert len(pyramid.scales(19, 300, 20, 0.709)) == 0


def test_the_smallest_face_is_20_pixels_or_a_fortieth_of_the_longer_side():
    assert pyramid.smallest_face(800, 600) == pyramid.smallest_face(250, 250) == 20
    assert pyramid.smallest_face(3000, 4000) == 100
    for asked, scale in ((0, 12 / 100), (250, 12 / 250)):
        sheets, = pyramid.pack([np.zeros((3000, 4000, 3), np.uint8)], asked, 0.709)
        assert sheets.scale[0] == scale


@pytest.fixture(scope="module")
def packed():
    images = [picture(height, width, seed) for seed, (height, width) in enumerate(SIZES)]
    sheets, = pyramid.pack(images, 20, 0.709)
    return images, sheets


def test_each_place_of_each_level_is_asked_once(packed):
    images, sheets = packed
    sheet, i, j = np.nonzero(sheets.owner >= 0)
    tiles = sheets.owner[sheet, i, j]
    places = np.stack([i, j], axis=1) * 2 + sheets.origin[tiles]
    found = sorted(zip(sheets.image[tiles], sheets.scale[tiles], *places.T, strict=True))
    expected = [(number, scale, y, x) for number, image in enumerate(images)
                for scale in pyramid.scales(*image.shape[:2], 20, 0.709)
                # the last place may lack a pixel
                for y in range(0, int(image.shape[0] * scale) - 10, 2)
                for x in range(0, int(image.shape[1] * scale) - 10, 2)]
    assert found == sorted(expected)


def test_what_lies_there_is_the_picture_made_small(packed):
    images, sheets = packed
    for tile in range(len(sheets.scale)):
        image, scale = images[sheets.image[tile]], sheets.scale[tile]
        size = int(image.shape[1] * scale), int(image.shape[0] * scale)
        level = cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        sheet, i, j = (places[len(places) // 2] for places in np.nonzero(sheets.owner == tile))
        y, x = 2 * i + sheets.origin[tile, 0], 2 * j + sheets.origin[tile, 1]
        cut = level[y : y + 12, x : x + 12]
        there = sheets.pixels[sheet, 2 * i : 2 * i + len(cut), 2 * j : 2 * j + cut.shape[1]]
        np.testing.assert_array_equal(there[..., :3], cut)
        assert not there[..., 3].any()


def test_sheets_are_no_larger_than_needed_and_bounded(packed):
    _, sheets = packed
    assert sheets.pixels.shape[1:] == (512, 512, 4)
    assert (sheets.pixels[..., 3] == 0).mean() > 0.5
    one, = pyramid.pack([picture(40, 60)], 20, 0.709)
    assert one.pixels.shape == (1, 24, 80, 4)  # 24×36, 17×25 with its odd sides rounded up, and 12×18
    assert one.owner.shape == (1, 7, 35)


def test_nothing_to_look_at():
    sheets, = pyramid.pack([picture(5, 5)], 20, 0.709)
    assert sheets.pixels.shape == (0, 12, 12, 4)
    assert len(sheets.image) == 0


def test_large_pictures_are_made_small_in_strips(monkeypatch):
    """Of twelve megapixels no more than one is float32 at a time: a fourth of 4000×3000 is 1000×750."""
    sizes, real = [], cv2.resize
    monkeypatch.setattr(cv2, "resize", lambda image, *rest, **more: sizes.append(image[..., 0].size) or
                        real(image, *rest, **more))
    list(pyramid.pack([np.zeros((3000, 4000, 3), np.uint8)], 0, 0.709))
    assert sizes.count(1000 * 750) == 10  # one for each level
    assert sum(sizes[:-10]) == 4000 * 3000
    assert max(sizes) <= 2**20


def test_means_of_squares(monkeypatch):
    image = np.arange(7 * 5 * 3, dtype=np.uint8).reshape(7, 5, 3)
    means = [image[y : y + 2, x : x + 2].mean(axis=(0, 1)) for y in (0, 2, 4) for x in (0, 2)]
    for strip in (1, 16, 1000):  # one row of squares at a time, two, and all
        monkeypatch.setattr(pyramid, "_STRIP", strip)
        np.testing.assert_allclose(pyramid._reduced(image, 2), np.reshape(means, (3, 2, 3)))
        np.testing.assert_array_equal(pyramid._reduced(image, 1), image.astype(np.float32))


def test_what_is_packed_together_is_bounded(monkeypatch):
    image = picture(40, 60)  # levels of 24×36 = 864 pixels, 17×25 = 425 and 12×18 = 216
    whole, = pyramid.pack([image], 20, 0.709)
    monkeypatch.setattr(pyramid, "_PACKED", 1000)
    first, *others = pyramid.pack([image, image], 20, 0.709)
    assert [sheets.level.tolist() for sheets in (first, *others)] == [[0], [1, 2], [3], [4, 5]]
    assert first.pixels.shape == (1, 24, 36, 4)
    np.testing.assert_array_equal(first.pixels[0, :, :, :3], whole.pixels[0, :, :36, :3])
