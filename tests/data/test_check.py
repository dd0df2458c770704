import os

import numpy as np
import pytest
from PIL import Image

from tests.pictures import encode, exif, picture, with_exif, write
from tf_facenet.data import check, load
from tf_facenet.data.faces import Faces

JPEG, PNG = encode(picture(), "JPEG"), encode(picture())
TRANSPARENT = encode(np.dstack([picture(), np.full((30, 40), 254, np.uint8)]), "WEBP", "RGBA")
BAD = {  # name → (content, reason)
    "empty.jpg": (b"", "empty file"),
    "text.jpg": (b"hello, world", "not a JPEG, PNG, BMP, GIF, WebP, TIFF, PGM or PPM image (starts with b'hello, w')"),
    "cut.jpg": (JPEG[:-100], "truncated or corrupt JPEG"),
    "cut.png": (PNG[:-100], "truncated or corrupt PNG"),
    "cut.bmp": (encode(picture(), "BMP")[:-9], "truncated or corrupt BMP"),
    "cut.gif": (encode(picture(), "GIF")[:-100], "truncated or corrupt GIF"),
    "cut.webp": (encode(picture(), "WEBP")[:-50], "truncated or corrupt WebP"),
    "cut_in_the_header.png": (PNG[:20], "truncated or corrupt PNG"),
    "cut.pgm": (encode(picture(), "PPM", "L")[:-50], "truncated or corrupt PGM"),
    "bomb.png": (PNG[:16] + b"\0\0\xea\x60\0\0\xea\x60" + PNG[24:],
                 "image of 60000x60000 pixels, more than 100,000,000"),
    "bomb.pgm": (b"P5 60000 60000 255\n", "image of 60000x60000 pixels, more than 100,000,000"),
    "scan.tif": (b"II*\0abcdefgh", "truncated or corrupt TIFF"),
}
GOOD = {"1.jpg": JPEG, "2.png": PNG, "3.gif": encode(picture(), "GIF"),
        "4.webp": encode(picture(), "WEBP"), "5.bmp": encode(picture(), "BMP"),
        "png.jpg": PNG, "cmyk.jpg": encode(picture(), "JPEG", "CMYK"),
        "grey.bmp": encode(picture(), "BMP", "L"), "turned.jpg": with_exif(JPEG, exif(6)),
        "odd_exif.jpg": with_exif(JPEG, exif(6)[:14]), "unknown": JPEG,
        "palette.bmp": encode(picture(), "BMP", "P"), "orl.pgm": encode(picture(), "PPM", "L"),
        "scan.tiff": encode(picture(), "TIFF"), "transparent.webp": TRANSPARENT,
        "moving.webp": encode(picture(), "WEBP", save_all=True, append_images=[Image.fromarray(picture(seed=9))])}


def test_good_and_bad_files(tmp_path):
    write(tmp_path / "a", GOOD)
    write(tmp_path / "b", {name: content for name, (content, _) in BAD.items()} | {"1.jpg": JPEG})
    faces, bad = check.readable(load(tmp_path))
    assert [os.path.basename(sample) for sample in faces.samples] == [*sorted(GOOD), "1.jpg"]
    assert faces.names == ["a", "b"]
    assert faces.labels.tolist() == [0] * len(GOOD) + [1]
    assert bad == [(str(tmp_path / "b" / name), BAD[name][1]) for name in sorted(BAD)]


def test_files_that_cannot_be_opened(tmp_path):
    write(tmp_path, {"a/1.jpg": JPEG, "a/2.jpg": JPEG})
    os.symlink(tmp_path / "gone", tmp_path / "a" / "3.jpg")
    faces, bad = check.readable(load(tmp_path))
    assert len(faces) == 2
    assert bad == [(str(tmp_path / "a" / "3.jpg"), "cannot be read: No such file or directory")]


def test_people_without_a_good_image_are_named(tmp_path):
    write(tmp_path, {"a/1.jpg": b"", "b/1.jpg": JPEG, "c/1.jpg": b"", "d/1.jpg": PNG})
    faces, bad = check.readable(load(tmp_path))
    assert faces.names == ["b", "d"]
    assert faces.labels.tolist() == [0, 1]
    assert [os.path.relpath(name, tmp_path) for name, _ in bad[:2]] == ["a/1.jpg", "c/1.jpg"]
    assert bad[2:] == [(f"class '{name}'", "has no readable image") for name in "ac"]


def test_images_in_memory():
    samples = np.empty(3, object)
    samples[:] = [JPEG, b"", PNG]
    faces, bad = check.readable(Faces(samples, np.array([0, 1, 1]), ["x", "y"]))
    assert faces.samples.tolist() == [JPEG, PNG]
    assert bad == [("image 1 in memory, of 'y'", "empty file")]


@pytest.mark.parametrize("num_threads", [1, 5, None])
def test_order_and_progress_with_any_number_of_threads(num_threads):
    count = 4 * check._CHUNK + 3
    samples = np.empty(count, object)
    samples[:] = [b"" if i % 7 == 0 else (JPEG, PNG)[i % 2] for i in range(count)]
    done = []
    faces, bad = check.readable(
        Faces(samples, np.arange(count) % 5, list("abcde")), num_threads, done.append)
    assert [int(name.split()[1]) for name, _ in bad] == list(range(0, count, 7))
    assert faces.samples.tolist() == [sample for sample in samples if sample]
    assert done == sorted(done)
    assert (len(done), done[-1]) == (5, count)


def test_not_one_good_image(tmp_path):
    write(tmp_path, {"a/1.jpg": b"", "b/1.jpg": b"x"})
    with pytest.raises(ValueError, match=r"None of the 2 images can be read, the first: .*1\.jpg "
                                         r"\(empty file\)\. Expected JPEG, PNG"):
        check.readable(load(tmp_path))


def test_list_of_bad_files(tmp_path):
    path = tmp_path / "run" / "bad_files.txt"
    check.write_bad_files(path, [("/a/1.jpg", "empty file"), ("/caf\udce9.jpg", "truncated")])
    assert path.read_bytes() == b"/a/1.jpg\tempty file\n/caf\xe9.jpg\ttruncated\n"
    check.write_bad_files(path, [])
    assert path.read_bytes() == b""
    assert [entry.name for entry in path.parent.iterdir()] == ["bad_files.txt"]
