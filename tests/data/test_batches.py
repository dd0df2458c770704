import itertools
import logging

import numpy as np
import pytest
import tensorflow as tf

from tests.pictures import encode, picture, write
from tf_facenet.data import batches
from tf_facenet.data.augment import Augmentation
from tf_facenet.data.batches import training_batches
from tf_facenet.data.faces import Faces

COUNT = 23
PICTURES = np.stack([picture(12, 14, seed) for seed in range(COUNT)])
BLACK = encode(np.zeros((12, 14, 3), np.uint8), "PNG") + bytes(100)
PLAIN = Augmentation()
ALL = Augmentation(random_crop=True, random_flip=True, random_rotate=True)


def faces(samples=None, count=COUNT):
    """Each image has its own label: 22, 21 … 0."""
    if samples is None:
        samples = [encode(image) for image in PICTURES[:count]]
    array = np.empty(len(samples), object)
    array[:] = samples
    names = [f"person {c}" for c in range(len(samples))]
    return Faces(array, np.arange(len(samples))[::-1].astype(np.int64), names)


def take(dataset, count):
    """(images [count, B, H, W, 3], labels [count, B])"""
    parts = list(itertools.islice(dataset.as_numpy_iterator(), count))
    return tuple(np.stack(part) for part in zip(*parts, strict=True))


def training(batch_size=4, size=(12, 14), augmentation=PLAIN, seed=1, **options):
    return training_batches(faces(), batch_size, size, augmentation, seed, **options)


def test_types_and_shapes():
    dataset = training(size=(10, 8))
    spec = dataset.element_spec
    assert (spec[0].shape, spec[0].dtype) == ((4, 10, 8, 3), tf.uint8)
    assert (spec[1].shape, spec[1].dtype) == ((4,), tf.int32)
    pixels, labels = take(dataset, 1)
    assert (pixels.shape, labels.shape) == ((1, 4, 10, 8, 3), (1, 4))
    assert training(size=9).element_spec[0].shape == (4, 9, 9, 3)


def test_each_image_comes_with_its_label():
    pixels, labels = take(training(), 12)
    np.testing.assert_array_equal(pixels, PICTURES[::-1][labels])


@pytest.mark.parametrize("batch_size", [1, 5, 23, 60])
def test_each_pass_has_each_image_once_and_its_own_order(batch_size):
    passes = 5
    _, labels = take(training(batch_size, seed=3), -(-passes * COUNT // batch_size))
    orders = labels.ravel()[:passes * COUNT].reshape(passes, COUNT)
    np.testing.assert_array_equal(np.sort(orders), np.tile(np.arange(COUNT), (passes, 1)))
    assert len(np.unique(orders, axis=0)) == passes


def test_order_does_not_depend_on_the_batch_size():
    orders = [take(training(size), 60 // size)[1].ravel() for size in (4, 12)]
    np.testing.assert_array_equal(*orders)


@pytest.mark.parametrize("options", [{}, {"start": 3}], ids=str)
@pytest.mark.parametrize("count", [2, 4])
def test_parts_of_batches_make_up_the_whole(count, options):
    """Pixels included: a part's augmentations are those of the same images in the whole batch."""
    whole = take(training(8, augmentation=ALL, size=9, **options), 6)
    parts = [take(training(8, augmentation=ALL, size=9, part=(index, count), **options), 6) for index in range(count)]
    for expected, *own in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(own, axis=1), expected)


@pytest.mark.parametrize("start", [1, 5, 6, 12])
def test_starting_later_is_going_on(start):
    pixels, labels = take(training(augmentation=ALL, size=9), 15)
    later = take(training(augmentation=ALL, size=9, start=start), 15 - start)
    np.testing.assert_array_equal(later[0], pixels[start:])
    np.testing.assert_array_equal(later[1], labels[start:])


def test_number_of_threads_changes_nothing():
    one, many = (take(training(augmentation=ALL, num_threads=n), 10) for n in (1, 7))
    np.testing.assert_array_equal(one[0], many[0])
    np.testing.assert_array_equal(one[1], many[1])


def test_seeds_differ():
    first, again, other = (take(training(augmentation=ALL, seed=seed), 6) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[1] != other[1]).any()


def test_passes_are_independent_permutations():
    _, labels = take(training(COUNT, seed=7), 400)
    positions = np.argsort(labels, axis=1)
    for lag in (1, 2, 256):
        both = zip(positions[:-lag], positions[lag:], strict=True)
        correlations = [np.corrcoef(one, two)[0, 1] for one, two in both]
        # The correlation of two random permutations of n has the variance 1 / (n - 1).
        deviation = 1 / np.sqrt((COUNT - 1) * len(correlations))
        assert abs(np.mean(correlations)) < 5 * deviation
    expected = 400 / COUNT
    counts = np.stack([np.bincount(column, minlength=COUNT) for column in labels.T])
    assert ((counts - expected) ** 2 / expected).sum() < COUNT**2 + 5 * np.sqrt(2 * COUNT**2)


def test_random_flip_mirrors_half_of_the_images_again_and_again_anew():
    pixels, labels = take(training(COUNT, augmentation=Augmentation(random_flip=True)), 40)
    plain = PICTURES[::-1][labels]
    same = (pixels == plain).all(axis=(2, 3, 4))
    mirrored = (pixels == plain[:, :, :, ::-1]).all(axis=(2, 3, 4))
    assert (same ^ mirrored).all()
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / np.sqrt(mirrored.size)
    assert len(np.unique(mirrored, axis=0)) == 40


def test_random_crop_cuts_pieces_of_the_image():
    pixels, labels = take(
        training(size=(10, 11), augmentation=Augmentation(random_crop=True)), 30)
    places = set()
    for image, label in zip(pixels.reshape(-1, 10, 11, 3), labels.ravel(), strict=True):
        whole = PICTURES[::-1][label]
        found = {(y, x) for y in range(3) for x in range(4)
                 if (whole[y:y + 10, x:x + 11] == image).all()}
        assert found
        places |= found
    assert len(places) == 12


def test_random_crop_of_a_small_image_pads():
    pixels, labels = take(
        training(size=(16, 20), augmentation=Augmentation(random_crop=True)), 3)
    np.testing.assert_array_equal(pixels[:, :, 2:14, 3:17], PICTURES[::-1][labels])
    assert not pixels[:, :, :2].any()
    assert not pixels[:, :, :, 17:].any()


def test_random_rotation_changes_all_but_a_little():
    pixels, labels = take(training(augmentation=Augmentation(random_rotate=True)), 5)
    plain = PICTURES[::-1][labels]
    changes = np.abs(pixels[:, :, 4:8, 5:9].astype(int) - plain[:, :, 4:8, 5:9]).mean((2, 3, 4))
    assert (pixels != plain).any(axis=(2, 3, 4)).mean() > 0.9
    assert 0 < changes.mean() < 15


def test_images_of_different_sizes():
    samples = [encode(picture(side, 2 * side, side)) for side in range(8, 18)]
    pixels, _ = take(training_batches(faces(samples), 10, 12, ALL, 1), 2)
    assert pixels.shape == (2, 10, 12, 12, 3)


def test_paths_bytes_and_both(tmp_path):
    contents = [encode(image) for image in PICTURES]
    write(tmp_path, {f"{i}.png": content for i, content in enumerate(contents)})
    paths = [str(tmp_path / f"{i}.png") for i in range(COUNT)]
    mixed = [path if i % 3 else content
             for i, (path, content) in enumerate(zip(paths, contents, strict=True))]
    for samples in (paths, contents, mixed):
        pixels, labels = take(training_batches(faces(samples), 6, (12, 14), PLAIN, 1), 8)
        np.testing.assert_array_equal(pixels, PICTURES[::-1][labels])


def test_bytes_may_end_with_zeros():
    encoded, orientations = batches._Loader([BLACK], 12, PLAIN)._plain([0])
    assert BLACK.endswith(bytes(100))
    assert tf.constant(encoded).numpy().tolist() == [BLACK]
    assert orientations.tolist() == [1]


def files(folder, bad):
    """Paths of the pictures; those at the places `bad` do not exist or are damaged."""
    for i, image in enumerate(PICTURES):
        if i not in bad:
            (folder / f"{i}.png").write_bytes(encode(image))
        elif i % 2:
            (folder / f"{i}.png").write_bytes(encode(image)[:-30])
    return [str(folder / f"{i}.png") for i in range(COUNT)]


def test_files_that_vanish_are_replaced_within_their_batch(tmp_path, caplog):
    whole = take(training(6), 12)
    bad = {4, 7, 9, 20}
    samples = faces(files(tmp_path, bad))
    with caplog.at_level(logging.WARNING):
        pixels, labels = take(training_batches(samples, 6, (12, 14), PLAIN, 1), 12)
    np.testing.assert_array_equal(pixels, PICTURES[::-1][labels])
    bad_labels = [COUNT - 1 - i for i in bad]
    assert not np.isin(labels, bad_labels).any()
    for now, before in zip(labels, whole[1], strict=True):
        healthy = before[~np.isin(before, bad_labels)]
        np.testing.assert_array_equal(now, np.resize(healthy, 6))
    for i in bad:
        assert f"{i}.png cannot be read any more; another image takes its place" in caplog.text


def test_replaced_files_leave_the_other_batches_alone(tmp_path):
    samples = faces(files(tmp_path, {4}))
    whole = take(training(6, augmentation=ALL), 12)
    now = take(training_batches(samples, 6, (12, 14), ALL, 1), 12)
    later = take(training_batches(samples, 6, (12, 14), ALL, 1, start=5), 7)
    untouched = ~(whole[1] == COUNT - 1 - 4).any(axis=1)
    assert 0 < untouched.sum() < 12
    np.testing.assert_array_equal(now[0][untouched], whole[0][untouched])
    np.testing.assert_array_equal(now[0][5:], later[0])


def test_a_batch_without_any_image_is_an_error_and_no_endless_wait(tmp_path):
    gone = faces([str(tmp_path / f"{i}.png") for i in range(5)])
    with pytest.raises(tf.errors.InvalidArgumentError, match="No image of a batch can be read"):
        next(iter(training_batches(gone, 3, 9, ALL, 1)))


def test_what_makes_no_batches():
    empty = Faces(np.array([], object), np.array([], np.int64), [])
    with pytest.raises(ValueError, match="There are no images to make batches of"):
        training_batches(empty, 4, 9, PLAIN, 1)
    with pytest.raises(ValueError, match="The batch size is 0; expected at least 1"):
        training(0)
