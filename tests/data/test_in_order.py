"""Images read in order, the same for every number of threads; those that cannot be read are named."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from tests.pictures import encode, picture, pillow
from tf_facenet.data import in_order
from tf_facenet.data.in_order import evaluation_batches

COUNT = 23
SIZE = (12, 14)
PICTURES = np.stack([picture(*SIZE, seed) for seed in range(COUNT)])
CONTENTS = [encode(image) for image in PICTURES]


def read(*arguments, **options):
    return np.concatenate(list(evaluation_batches(*arguments, **options)))


def write(folder):
    """Paths of the pictures."""
    paths = [folder / f"{i}.png" for i in range(COUNT)]
    for path, content in zip(paths, CONTENTS, strict=True):
        path.write_bytes(content)
    return [str(path) for path in paths]


def test_in_order_with_the_rest_at_the_end():
    parts = list(evaluation_batches(CONTENTS, 5, SIZE, num_threads=3))
    assert [len(part) for part in parts] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(np.concatenate(parts), PICTURES)


def test_size_and_place():
    np.testing.assert_array_equal(read(CONTENTS, 5, 9), tf.image.resize_with_crop_or_pad(PICTURES, 9, 9))
    np.testing.assert_array_equal(read(CONTENTS, 5, 9, place=(0.0, 1.0)), PICTURES[:, :9, -9:])


def test_paths_bytes_and_both(tmp_path):
    paths = write(tmp_path)
    mixed = [path if i % 3 else content for i, (path, content) in enumerate(zip(paths, CONTENTS, strict=True))]
    for samples in (paths, CONTENTS, mixed):
        np.testing.assert_array_equal(read(samples, 6, SIZE), PICTURES)
        np.testing.assert_array_equal(read(samples, 6, SIZE, rows=np.array([7, 3, 3, 20])), PICTURES[[7, 3, 3, 20]])


def test_sets_of_one_size_share_a_function():
    """Another set costs no new graph: tracing one takes longer than reading a hundred images."""
    load = in_order._loader(SIZE, in_order.Augmentation())
    for count in (4, 5, 9):
        read(CONTENTS[:count], 3, SIZE)
    assert load.experimental_get_tracing_count() == 1


def test_threads_end_with_the_images():
    before = threading.active_count()
    next(iter(evaluation_batches(CONTENTS, 2, SIZE, num_threads=4)))  # the others are not asked for
    read(CONTENTS, 2, SIZE, num_threads=4)
    assert threading.active_count() == before


def test_names_that_are_no_utf8(tmp_path):
    path = str(tmp_path / "caf\udce9.png")
    try:
        with open(path, "wb") as file:
            file.write(CONTENTS[0])
    except OSError:
        pytest.skip("the file system takes no such names")
    np.testing.assert_array_equal(read([path], 2, SIZE), PICTURES[:1])


def test_what_cannot_be_read_is_named(tmp_path):
    paths = write(tmp_path)
    (tmp_path / "4.png").unlink()
    (tmp_path / "7.png").write_bytes(CONTENTS[7][:-30])
    with pytest.raises(OSError, match=r"^Images that cannot be read: \S+4\.png \(cannot be read: No such file or "
                                      r"directory\), \S+7\.png \(truncated or corrupt PNG\)\. Replace or remove them"):
        read(paths, 10, 9)
    with pytest.raises(OSError, match=r"cannot be read: \(image 1 in memory\) \(not a JPEG"):
        read([CONTENTS[0], b"hello"], 10, 9)


def test_what_claims_to_be_huge_is_not_decoded():
    huge = CONTENTS[0][:16] + b"\0\0\x4e\x20\0\0\x4e\x20" + CONTENTS[0][24:]
    with pytest.raises(OSError, match=r"\(image 1 in memory\) \(image of 20000x20000 pixels, more than 100,000,000\)"):
        read([CONTENTS[0], huge], 10, 9)


def test_files_of_cameras_scanners_and_old_databases():
    kinds = [encode(PICTURES[0], "PPM"), encode(PICTURES[1], "TIFF"), encode(PICTURES[2], "BMP", "P"),
             encode(np.dstack([PICTURES[3], PICTURES[3][..., 0]]), "WEBP", "RGBA", lossless=True, exact=True)]
    pixels = read(kinds, 2, SIZE)
    np.testing.assert_array_equal(pixels[[0, 1, 3]], PICTURES[[0, 1, 3]])
    np.testing.assert_array_equal(pixels[2], pillow(kinds[2]))


def test_what_makes_no_batches():
    with pytest.raises(ValueError, match="There are no images to make batches of"):
        evaluation_batches([], 4, 9)
    with pytest.raises(ValueError, match="The batch size is 0; expected at least 1"):
        evaluation_batches(CONTENTS, 0, 9)
