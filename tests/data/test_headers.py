import struct

import pytest

from tests.pictures import encode, exif, picture, with_exif
from tf_facenet.data import headers

IMAGE = picture(30, 40)
FILES = {
    "JPEG": encode(IMAGE, "JPEG"),
    "JPEG, progressive": encode(IMAGE, "JPEG", progressive=True),
    "JPEG, EXIF first": with_exif(encode(IMAGE, "JPEG"), exif(6, tags=range(50))),
    "JPEG, filled": b"\xff\xd8\xff\xff\xff" + encode(IMAGE, "JPEG")[3:],
    "PNG": encode(IMAGE),
    "GIF": encode(IMAGE, "GIF"),
    "BMP": encode(IMAGE, "BMP"),
    "BMP, grey": encode(IMAGE, "BMP", "L"),
    "BMP, with alpha": encode(IMAGE, "BMP", "RGBA"),
    "WebP": encode(IMAGE, "WEBP"),
    "WebP, lossless": encode(IMAGE, "WEBP", lossless=True),
    "WebP, extended": encode(IMAGE, "WEBP", exif=exif(1)),
}


def png(height, width):
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)


@pytest.mark.parametrize("name", FILES)
def test_format_and_size(name):
    assert headers.image_format(FILES[name]) == name.partition(",")[0]
    assert headers.image_format(FILES[name][:16]) == name.partition(",")[0]
    assert headers.image_size(FILES[name]) == (30, 40)
    assert headers.fault(FILES[name]) is None


def test_extended_webp_is_what_it_is_called():
    assert FILES["WebP, extended"][12:16] == b"VP8X"
    assert FILES["WebP, lossless"][12:16] == b"VP8L"


def test_rows_of_a_bmp_may_start_at_the_top():
    bmp = bytearray(FILES["BMP"])
    bmp[22:26] = struct.pack("<i", -30)
    assert headers.image_size(bytes(bmp)) == (30, 40)


@pytest.mark.parametrize("name", FILES)
def test_every_beginning_of_a_file_has_a_size(name):
    for length in range(16, min(len(FILES[name]), 900)):
        height, width = headers.image_size(FILES[name][:length])
        assert 0 <= height <= 30
        assert 0 <= width <= 40


@pytest.mark.parametrize("content", [
    b"", b"name,images\n", b"BMI,weight\n12,3\n", b"%PDF-1.4", b"II*\0", b"RIFF\0\0\0\0WAVEfmt "])
def test_other_files(content):
    assert headers.image_format(content) is None


def test_faults():
    assert headers.fault(b"") == "empty file"
    assert headers.fault(b"<html><body>") == (
        "not a JPEG, PNG, BMP, GIF or WebP image (starts with b'<html><b')")
    assert headers.fault(encode(IMAGE, "BMP", "P")) == "BMP with a palette"
    assert headers.fault(encode(IMAGE, "BMP", "1")) == "BMP with a palette"


def test_images_that_would_fill_the_memory():
    assert headers.fault(png(60_000, 50_000)) == (
        "image of 50000x60000 pixels, more than 100,000,000")
    assert headers.fault(png(10_000, 10_000)) is None
    jpeg = bytearray(FILES["JPEG"])
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at:at + 4] = struct.pack(">HH", 65_000, 64_000)
    assert headers.fault(bytes(jpeg)).startswith("image of 64000x65000 pixels")
