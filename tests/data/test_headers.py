import struct

import pytest
from PIL import Image

from tests.pictures import encode, exif, exif_in_odd_places, exif_in_wrong_places, picture, with_exif
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
    "WebP, animated": encode(IMAGE, "WEBP", save_all=True, append_images=[Image.fromarray(picture(seed=9))]),
    "TIFF": encode(IMAGE, "TIFF"),
    "TIFF, big-endian": encode(IMAGE, "TIFF", big_endian=True),
    "PBM": encode(IMAGE, "PPM", "1"),
    "PGM": encode(IMAGE, "PPM", "L"),
    "PPM": encode(IMAGE, "PPM"),
    "PPM, with comments": b"P6 # (30 rows)\n# of\n40\t# columns\n30\n255\n" + IMAGE.tobytes(),
    "PGM, as text": b"P2 40 30 9\n" + b"7 " * 1200,
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
    b"", b"name,images\n", b"BMI,weight\n12,3\n", b"%PDF-1.4", b"II+\0", b"P6's", b"P7\n", b"RIFF\0\0\0\0WAVEfmt "])
def test_other_files(content):
    assert headers.image_format(content) is None


def test_faults():
    assert headers.fault(b"") == "empty file"
    assert headers.fault(b"<html><body>") == (
        "not a JPEG, PNG, BMP, GIF, WebP, TIFF, PGM or PPM image (starts with b'<html><b')")
    assert headers.fault(FILES["JPEG"][:100]) == "truncated or corrupt JPEG"  # what does not say its size may be huge
    assert headers.fault(FILES["TIFF"][:20]) == "truncated or corrupt TIFF"
    assert headers.fault(b"P5 40 ") == "truncated or corrupt PGM"


def test_tiffs_of_other_things_than_pictures():
    assert headers.fault(encode(IMAGE, "TIFF", "F")) == "TIFF whose samples are not whole numbers of up to 16 bits"
    assert headers.fault(encode(IMAGE, "TIFF", tiffinfo={254: 1})) == (
        "TIFF that begins with a preview, such as a camera's raw file")


def test_images_that_would_fill_the_memory():
    assert headers.fault(png(60_000, 50_000)) == (
        "image of 50000x60000 pixels, more than 100,000,000")
    assert headers.fault(png(10_000, 10_000)) is None
    jpeg = bytearray(FILES["JPEG"])
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at:at + 4] = struct.pack(">HH", 65_000, 64_000)
    assert headers.fault(bytes(jpeg)).startswith("image of 64000x65000 pixels")
    assert headers.fault(b"P5 20000 20000 255\n") == "image of 20000x20000 pixels, more than 100,000,000"
    tile = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in (
        (256, 40), (257, 30), (322, 60_000), (323, 50_000)))
    assert headers.fault(b"II*\0\x08\0\0\0\4\0" + tile).startswith("image of 60000x50000 pixels")


def test_the_first_frame_of_a_gif_counts():
    """TensorFlow's decoder takes room for the largest frame, whatever the size of the screen."""
    later = Image.fromarray(picture(30, 40, seed=9))
    still, animated = FILES["GIF"], encode(IMAGE, "GIF", save_all=True, append_images=[later, later])
    assert headers.first_frame(still) == still
    assert headers.image_size(headers.first_frame(animated)) == (30, 40)
    assert len(headers.first_frame(animated)) < len(animated)
    at = still.index(b",\0\0\0\0") + 5  # of the frame's own size
    huge = still[:at] + struct.pack("<HH", 60_000, 50_000) + still[at + 4:]
    assert headers.fault(huge) == "image of 60000x50000 pixels, more than 100,000,000"
    behind = still[:-1] + huge[at - 5:]
    assert headers.fault(behind) is None
    assert headers.first_frame(behind) == still


@pytest.mark.parametrize("order", ["<", ">"], ids=["Intel", "Motorola"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_wherever_a_format_allows_it(orientation, order):
    files = exif_in_odd_places(IMAGE, orientation, order)
    assert {name: headers.read(file).orientation for name, file in files.items()} == dict.fromkeys(files, orientation)
    assert {name: headers.image_size(file) for name, file in files.items()} == dict.fromkeys(files, (30, 40))


def test_what_only_looks_like_an_orientation():
    files = exif_in_wrong_places(IMAGE)
    assert {name: headers.read(file).orientation for name, file in files.items()} == dict.fromkeys(files, 1)


@pytest.mark.parametrize("order", ["<", ">"], ids=["Intel", "Motorola"])
def test_orientation_as_a_number_of_four_bytes(order):
    short, long = (struct.pack(order + pattern, 0x0112, kind, 1, 6) for pattern, kind in (("HHIHxx", 3), ("HHII", 4)))
    data = exif(6, order)
    assert short in data
    assert headers.read(with_exif(FILES["JPEG"], data.replace(short, long))).orientation == 6
