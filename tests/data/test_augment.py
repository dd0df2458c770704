import itertools

import cv2
import numpy as np
import pytest

from tests.pictures import encode, picture
from tf_facenet import config
from tf_facenet.data import augment
from tf_facenet.data.augment import CHANGES, LUMA, Augmentation
from tf_facenet.data.batches import training_batches
from tf_facenet.data.faces import Faces
from tf_facenet.data.in_order import augmented_images
from tf_facenet.options import SoftmaxOptions, TripletOptions

COUNT = 40
PICTURES = np.stack([picture(96, 80, seed) for seed in range(COUNT)])
DRAWS = np.random.default_rng(0).random((COUNT, augment.NUM_DRAWS), np.float32)
STRENGTHS = ["random_affine", "jitter"]
SHARES = [name for name in CHANGES if name not in STRENGTHS]
AMOUNTS = {**dict.fromkeys(SHARES, 0.5), "random_affine": 1.0, "jitter": 0.3}
EVERYTHING = Augmentation(random_crop=True, random_flip=True, **AMOUNTS)


def faces():
    samples = np.empty(COUNT, object)
    samples[:] = [encode(image) for image in PICTURES]
    return Faces(samples, np.arange(COUNT), [str(row) for row in range(COUNT)])


def batches(count, batch_size=8, **options):
    dataset = training_batches(faces(), batch_size, (90, 76), EVERYTHING, **{"seed": 3, **options})
    return [pixels for pixels, _ in itertools.islice(dataset.as_numpy_iterator(), count)]


@pytest.mark.parametrize("name", CHANGES)
def test_a_flag_switches_one_change(name):
    for cls in (SoftmaxOptions, TripletOptions):
        assert Augmentation.of(config.parse(cls, [f"--{name}", "0.5", "--crop", "left"])).changes == [name]
        assert Augmentation.of(config.parse(cls, [])) == Augmentation()
    assert Augmentation.of(config.parse(SoftmaxOptions, ["--crop", "left"])).place == (0.5, 0.0)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("value", ["-0.1", "1.5"])
def test_an_amount_is_from_zero_to_one(capsys, name, value):
    with pytest.raises(SystemExit):
        config.parse(SoftmaxOptions, [f"--{name}={value}"])
    assert f"--{name} is {value}; expected 0.0 to 1.0" in capsys.readouterr().err


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_makes_other_pixels_of_the_same_form_and_leaves_its_input_alone(name):
    before = PICTURES.copy()
    changed = augment.change(PICTURES, Augmentation(**{name: AMOUNTS[name]}), DRAWS)
    np.testing.assert_array_equal(PICTURES, before)
    assert (changed.shape, changed.dtype) == (PICTURES.shape, np.uint8)
    different = (changed != PICTURES).any(axis=(1, 2, 3))
    assert different.mean() > 0.95 if name not in SHARES else 0.2 < different.mean() < 0.8
    assert np.abs(changed.astype(int) - PICTURES).mean() < 60


@pytest.mark.parametrize("name", SHARES)
def test_a_share_of_the_images_changes(name):
    pictures = np.repeat(PICTURES[:1], 1000, axis=0)
    draws = np.random.default_rng(1).random((1000, augment.NUM_DRAWS), np.float32)
    changed = augment.change(pictures, Augmentation(**{name: 0.2}), draws)
    share = (changed != pictures).any(axis=(1, 2, 3)).mean()
    assert abs(share - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 1000)


def test_what_becomes_of_an_image_depends_on_its_numbers_only():
    whole = augment.change(PICTURES, EVERYTHING, DRAWS)
    np.testing.assert_array_equal(augment.change(PICTURES[7:9], EVERYTHING, DRAWS[7:9]), whole[7:9])
    assert (augment.change(PICTURES, EVERYTHING, DRAWS[::-1]) != whole).any()


@pytest.fixture(scope="module")
def whole():
    return batches(6)


@pytest.mark.parametrize("start", [0, 3])
def test_a_batch_depends_on_its_number(whole, start):
    np.testing.assert_array_equal(batches(6 - start, start=start, num_threads=1 + start), whole[start:])


def test_a_batch_depends_on_the_seed(whole):
    assert (batches(1, seed=4)[0] != whole[0]).any()


def test_part_of_a_batch_is_that_of_the_whole(whole):
    np.testing.assert_array_equal(batches(4, part=(1, 2)), np.array(whole[:4])[:, 4:])


def test_images_in_order_change_by_their_place_and_not_by_the_batch():
    one, other = (augmented_images(faces().samples, (90, 76), EVERYTHING, [1, 2], batch_size) for batch_size in (7, 40))
    np.testing.assert_array_equal(one, other)
    assert (one != augmented_images(faces().samples, (90, 76), EVERYTHING, [1, 3])).any()


def test_jitter_by_hand():
    """Brightness 0.9, contrast 1.2, saturation 0.7 of each pixel, in this order from the inside out."""
    image, numbers = PICTURES[0], [(factor - 0.5) for factor in (0.9, 1.2, 0.7)]  # strength 0.5: 0.5 + number
    grey = image @ LUMA
    mean = grey.mean()
    expected = 0.7 * image + 0.3 * grey[..., None]
    expected = 0.9 * (1.2 * (expected - mean) + mean)
    np.testing.assert_allclose(augment.jitter(image, 0.5, *numbers), np.clip(expected, 0, 255), atol=0.6)
    np.testing.assert_array_equal(augment.jitter(image, 0.5, 0.5, 0.5, 0.5), image)


def test_gray_by_hand():
    changed = augment.gray(PICTURES[0], 1.0, 0.5)
    np.testing.assert_allclose(changed, np.repeat((PICTURES[0] @ LUMA)[..., None], 3, axis=2), atol=0.6)


def test_blur_by_hand():
    """A Gaussian along rows and columns, edges mirrored."""
    image = picture(112, 100)
    sigma = 112 * (0.004 + 0.012 * 0.75)
    offsets = np.arange(-6, 7)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    padded = np.pad(image.astype(float), [(6, 6), (6, 6), (0, 0)], "reflect")
    for axis in (0, 1):
        padded = np.apply_along_axis(np.convolve, axis, padded, kernel / kernel.sum(), "valid")
    np.testing.assert_allclose(augment.blur(image, 1.0, 0.5, 0.75), padded, atol=1.5)


def test_resize_loses_detail_and_keeps_means():
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    changed = augment.resize(stripes, 1.0, 0.5, 1 / 3)  # to a half
    np.testing.assert_allclose(changed, 100, atol=1)
    np.testing.assert_array_equal(augment.resize(stripes, 1.0, 0.5, 1.0), stripes)


def test_affine_by_hand():
    image = picture(40, 40)
    centre = [0.5] * 4
    np.testing.assert_array_equal(augment.affine(image, 1.0, *centre), image)
    right = augment.affine(image, 1.0, 0.5, 0.5, 0.5, 1.0)  # a twentieth: two pixels
    np.testing.assert_array_equal(right[:, 2:], image[:, :-2])
    np.testing.assert_array_equal(right[:, :2], np.repeat(image[:, :1], 2, axis=1))
    down = augment.affine(image, 1.0, 0.5, 0.5, 0.0, 0.5)
    np.testing.assert_array_equal(down[:-2], image[2:])
    larger = augment.affine(image, 1.0, 0.5, 1.0, 0.5, 0.5)
    assert np.abs(larger[15:25, 15:25].astype(int) - cv2.resize(image, (44, 44))[17:27, 17:27]).max() <= 12
    turned = augment.affine(image, 1.0, 1.0, 0.5, 0.5, 0.5)
    back = augment.affine(turned, 1.0, 0.0, 0.5, 0.5, 0.5)
    assert np.abs(back[10:30, 10:30].astype(int) - image[10:30, 10:30]).max() <= 6
    np.testing.assert_array_equal(augment.affine(image, 0.5, 0.5, 0.5, 0.5, 1.0)[:, 1:], image[:, :-1])  # half of that


def test_jpeg_is_that_of_the_quality():
    for number, quality in ((0.0, 30), (0.5, 60), (0.9999, 90)):
        encoded = cv2.imencode(".jpg", PICTURES[0][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        np.testing.assert_array_equal(augment.jpeg(PICTURES[0], 1.0, 0.5, number), cv2.imdecode(encoded, 1)[..., ::-1])


@pytest.mark.parametrize("noise", [0.2, 0.8])
def test_erase_hides_one_rectangle(noise):
    image = np.full((50, 40, 3), 255, np.uint8)
    image[:25] = 0
    for numbers in np.random.default_rng(2).random((100, 4)):
        changed = augment.erase(image, 1.0, 0.5, *numbers, noise)
        rows, columns = np.nonzero((changed != image).any(axis=2))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert 0.01 < height * width / image[..., 0].size < 0.23
        assert 0.35 < height / width < 2.9
        inside = changed[rows.min():rows.max() + 1, columns.min():columns.max() + 1]
        if noise < 0.5:
            np.testing.assert_allclose(inside, 127.5, atol=1)
        else:
            assert inside.std() > 50


@pytest.mark.parametrize("size", [(1, 1), (3, 2)])
def test_tiny_images(size):
    changed = augment.change(PICTURES[:, :size[0], :size[1]], EVERYTHING, DRAWS)
    assert changed.shape == (COUNT, *size, 3)
