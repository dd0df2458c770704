import cv2
import numpy as np
import pytest
from PIL import Image

from tests.pictures import picture
from tf_facenet.align import crop
from tf_facenet.options.data import TEMPLATES

# Boxes and crops that facenet's script wrote for its own test photographs: (width, height), box, margin, crop.
MULTIFACE = [[418.426, 132.410, 504.524, 241.976], [858.754, 441.400, 954.389, 554.334],
             [621.658, 195.667, 695.481, 297.514], [226.749, 249.495, 303.286, 353.878],
             [556.219, 50.547, 630.222, 153.533], [723.160, 466.311, 796.461, 573.498]]
FACENET = [
    ((250, 250), [73.394, 62.192, 174.608, 197.143], 32, [57, 46, 190, 213]),
    ((250, 250), [72.067, 62.103, 170.065, 188.186], 32, [56, 46, 186, 204]),
    ((250, 250), [73.394, 62.192, 174.608, 197.143], 44, [51, 40, 196, 219]),
    ((1125, 1612), [537.384, 100.348, 762.815, 413.997], 32, [521, 84, 778, 429]),
    ((1638, 2048), [288.050, 289.157, 1307.990, 1820.781], 32, [272, 273, 1323, 1836]),
    ((1200, 630), MULTIFACE[0], 44, [396, 110, 526, 263]),
    ((1200, 630), MULTIFACE[5], 44, [701, 444, 818, 595]),
]


@pytest.mark.parametrize(("size", "box", "margin", "expected"), FACENET)
def test_facenets_crops(size, box, margin, expected):
    face, cut = crop.margin_crop(np.zeros((size[1], size[0], 3), np.uint8), box, margin, 20)
    assert cut.tolist() == expected
    assert face.shape == (20, 20, 3)


def test_a_crop_ends_at_the_picture():
    image = picture(50, 60)
    face, cut = crop.margin_crop(image, [-10, 5.5, 80, 30], 10, 24)
    assert cut.tolist() == [0, 0, 60, 35]
    np.testing.assert_array_equal(face, crop.resize(image[:35], (24, 24)))
    with pytest.raises(ValueError, match="has no pixels in a picture of 60x50"):
        crop.margin_crop(image, [70, 5, 90, 30], 10, 24)


@pytest.mark.parametrize("size", [(20, 20), (17, 40), (90, 31), (30, 40)])
def test_resize_is_pillows(size):
    image = picture(30, 40)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR), int)
    assert np.abs(crop.resize(image, size) - expected).max() <= 1


def test_facenet_chooses_by_size_and_place():
    assert crop.choose(MULTIFACE, (630, 1200)) == 2  # as recorded
    assert crop.choose(MULTIFACE, (630, 1200), "largest") == 1
    assert crop.choose(MULTIFACE, (630, 1200), "score") == 0
    with pytest.raises(ValueError, match="Unknown rule 'best'. Choose one of: central, largest, score"):
        crop.choose(MULTIFACE, (630, 1200), "best")


def test_templates_are_insightfaces():
    expected = [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    assert tuple(crop.TEMPLATES) == TEMPLATES  # those that options name
    np.testing.assert_allclose(crop.TEMPLATES["112x112"], expected)
    np.testing.assert_allclose(crop.TEMPLATES["112x96"], np.array(expected) - [8, 0])
    assert crop.template("112x96")[1] == (112, 96)
    with pytest.raises(ValueError, match="Unknown template '160x160'. Choose one of: 112x112, 112x96"):
        crop.template("160x160")


@pytest.mark.parametrize("angle", [0, 30, 200])
def test_similarity_finds_the_one_that_was_applied(angle):
    points = crop.TEMPLATES["112x112"]
    matrix = cv2.getRotationMatrix2D((30, 40), angle, 1.7)
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(crop.similarity(points, moved), matrix, atol=1e-9)


def umeyama(source, target):
    """The paper's own formulas, eq. 38 to 43."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, values, vt = np.linalg.svd(b.T @ a / len(a))
    sign = np.diag([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ sign @ vt
    scale = np.trace(np.diag(values) @ sign) / a.var(0).sum()
    return np.column_stack([scale * rotation, target.mean(0) - scale * rotation @ source.mean(0)])


@pytest.mark.parametrize("mirrored", [False, True])
def test_similarity_is_umeyamas(mirrored):
    points = crop.TEMPLATES["112x112"]
    source = points + np.random.default_rng(0).normal(0, 4, points.shape)
    if mirrored:
        source = source * [-1, 1]  # a reflection would fit better, and is not taken
    matrix = crop.similarity(source, points)
    np.testing.assert_allclose(matrix, umeyama(source, points), atol=1e-9)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_similarity_of_one_point():
    with pytest.raises(ValueError, match="the 5 landmarks all lie on one point"):
        crop.similarity(np.ones((5, 2)), crop.TEMPLATES["112x112"])


@pytest.mark.parametrize("scale", [1, 3, 7.5])
def test_warp_brings_spots_to_their_places(scale):
    """Spots at landmarks of a large picture, also of one much larger than the result."""
    points = crop.TEMPLATES["112x112"]
    matrix = cv2.getRotationMatrix2D((56, 56), 10, scale)
    there = points @ matrix[:, :2].T + matrix[:, 2] + 400
    y, x = np.mgrid[: 1000, : 1000]
    for target, (at_x, at_y) in zip(points, there, strict=True):
        spot = 255 * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 2 / (3 * scale) ** 2)
        image = np.repeat(spot[..., None].astype(np.uint8), 3, axis=2)
        found = crop.warp(image, crop.similarity(there, points), (112, 96))[..., 0].astype(float)
        assert found.shape == (112, 96)
        center = [(found * grid).sum() / found.sum() for grid in np.mgrid[:112, :96][::-1]]
        np.testing.assert_allclose(center, target, atol=0.1)


def test_warp_is_black_outside_and_leaves_the_matrix_alone():
    matrix = np.array([[0.25, 0, 10], [0, 0.25, 0]])
    face = crop.warp(np.full((80, 80, 3), 200, np.uint8), matrix, (30, 40))
    assert matrix.tolist() == [[0.25, 0, 10], [0, 0.25, 0]]
    assert (face[1:19, 11:29] == 200).all()
    assert not face[:, :9].any()
    assert not face[21:].any()
