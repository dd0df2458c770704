import io

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tests.pictures import (
    encode,
    exif,
    exif_in_odd_places,
    exif_in_wrong_places,
    picture,
    pillow,
    webp_chunk,
    with_exif,
    with_webp_chunks,
)
from tf_facenet.data import images

IMAGE = picture(30, 40)
CMYK = encode(IMAGE, "JPEG", "CMYK", quality=95)
JPEG = encode(IMAGE, "JPEG", quality=95)
WORDS = IMAGE.astype(np.uint16) * 257

# name → (file, largest difference to Pillow, whose inverse transform of JPEG is the slower one)
FILES = {
    "JPEG": (JPEG, 12),
    "JPEG, full colour": (encode(IMAGE, "JPEG", quality=95, subsampling=0), 8),
    "JPEG, progressive": (encode(IMAGE, "JPEG", progressive=True, subsampling=0), 8),
    "JPEG, grey": (encode(IMAGE, "JPEG", "L"), 4),
    "JPEG, CMYK": (CMYK, 12),
    "PNG": (encode(IMAGE), 0),
    "PNG, grey": (encode(IMAGE, "PNG", "L"), 0),
    "PNG, grey and alpha": (encode(IMAGE, "PNG", "LA"), 0),
    "PNG, RGBA": (encode(IMAGE, "PNG", "RGBA"), 0),
    "PNG, palette": (encode(IMAGE, "PNG", "P"), 0),
    "PNG, 1 bit": (encode(IMAGE, "PNG", "1"), 0),
    "BMP": (encode(IMAGE, "BMP"), 0),
    "BMP, grey": (encode(IMAGE, "BMP", "L"), 0),
    "BMP, RGBA": (encode(IMAGE, "BMP", "RGBA"), 0),
    "GIF": (encode(IMAGE, "GIF"), 0),
    "WebP": (encode(IMAGE, "WEBP"), 0),
    "WebP, RGBA": (encode(IMAGE, "WEBP", "RGBA", lossless=True), 0),
    "BMP, palette": (encode(IMAGE, "BMP", "P"), 0),
    "BMP, 1 bit": (encode(IMAGE, "BMP", "1"), 0),
    "TIFF": (encode(IMAGE, "TIFF"), 0),
    "TIFF, compressed": (encode(IMAGE, "TIFF", compression="tiff_lzw"), 0),
    "TIFF, grey": (encode(IMAGE, "TIFF", "L", big_endian=True), 0),
    "TIFF, palette": (encode(IMAGE, "TIFF", "P"), 0),
    "TIFF, 1 bit": (encode(IMAGE, "TIFF", "1"), 0),
    "TIFF, CMYK": (encode(IMAGE, "TIFF", "CMYK"), 0),
    "PBM": (encode(IMAGE, "PPM", "1"), 0),
    "PGM": (encode(IMAGE, "PPM", "L"), 0),
    "PPM": (encode(IMAGE, "PPM"), 0),
}


def in_map(function, *tensors):
    """The function's result inside Dataset.map, where its arguments have no static shape."""
    columns = [tf.data.Dataset.from_tensors(tensor) for tensor in tensors]
    dataset = tf.data.Dataset.zip(tuple(columns))
    return next(iter(dataset.map(lambda *row: function(*row)))).numpy()


@pytest.mark.parametrize("name", FILES)
def test_decode_every_format(name):
    encoded, tolerance = FILES[name]
    pixels = images.pixels(encoded)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (30, 40, 3)
    assert np.abs(pixels.astype(int) - pillow(encoded)).max() <= tolerance


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
def test_of_sixteen_bits_the_upper_eight_are_taken(suffix):
    words = np.random.default_rng(0).integers(0, 65536, (30, 40, 3), np.uint16)
    colour = cv2.imencode(suffix, words[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(images.pixels(colour), words >> 8)
    grey = cv2.imencode(suffix.replace("ppm", "pgm"), words[..., 0])[1].tobytes()
    np.testing.assert_array_equal(images.pixels(grey), np.dstack([words[..., 0] >> 8] * 3))


@pytest.mark.parametrize(("header", "numbers", "seen"), [
    (b"P5 3 1 15\n", bytes((0, 5, 15)), [0, 85, 255]),
    (b"P2 3 1 15\n", b"0 5 15\n", [0, 85, 255]),
    (b"P5 3 1 255\n", bytes((0, 5, 15)), [0, 5, 15]),
    (b"P2 3 1 255\n", b"0 5 15\n", [0, 5, 15]),
    (b"P5 3 1 1000\n", bytes((0, 0, 1, 0xF4, 3, 0xE8)), [0, 128, 255]),
    (b"P2 3 1 1000\n", b"0 500 1000\n", [0, 128, 255]),
    (b"P1 3 1\n", b"1 0 1\n", [0, 255, 0]),
    (b"P4 3 1\n", b"\xa0", [0, 255, 0])])
def test_white_is_what_a_pgm_says(header, numbers, seen):
    """OpenCV (5.0, imdecode) scales text of up to 8 bits to the number for white that the header says, nothing else."""
    assert images.pixels(header + numbers)[0].tolist() == [[value] * 3 for value in seen]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_the_first_frame_is_taken(kind):
    later = [Image.fromarray(picture(30, 40, seed=9)), Image.fromarray(picture(50, 60, seed=8))]
    options = {"lossless": True} if kind == "WEBP" else {}
    encoded = encode(IMAGE, kind, save_all=True, append_images=later[: 1 + (kind == "TIFF")], **options)
    np.testing.assert_array_equal(images.pixels(encoded), pillow(encoded))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("alpha", [0, 128, 254])
def test_transparency_is_left_out(kind, alpha):
    """One transparent pixel makes it a file of four channels, which TensorFlow (2.21) reads of PNG only."""
    transparent = Image.fromarray(IMAGE).convert("RGBA")
    transparent.putpixel((7, 5), (10, 20, 30, alpha))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    expected = IMAGE.copy()
    expected[5, 7] = 10, 20, 30
    file = io.BytesIO()
    transparent.save(file, kind, **options)
    np.testing.assert_array_equal(images.pixels(file.getvalue()), expected)


def test_transparent_lossy_webp():
    transparent = np.dstack([IMAGE, np.full((30, 40), 200, np.uint8)])
    file = io.BytesIO()
    Image.fromarray(transparent).save(file, "WEBP")
    np.testing.assert_array_equal(images.pixels(file.getvalue()), pillow(file.getvalue()))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_damaged_files_are_an_error(kind, capfd):
    with pytest.raises(ValueError, match="^truncated or corrupt"):
        images.pixels(encode(IMAGE, kind)[:-50])
    assert "OpenCV" not in capfd.readouterr().err


def test_whatever_is_read_is_looked_at_first():
    png = encode(IMAGE)
    bomb = png[:16] + b"\0\0\x4e\x20\0\0\x4e\x20" + png[24:]
    for read in (images.read, images.pixels, images.plain, images.encoded):
        with pytest.raises(ValueError, match=r"^image of 20000x20000 pixels, more than 100,000,000$"):
            read(bomb)


UPRIGHT = {  # orientation → what the stored image becomes
    1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud,
    5: lambda x: x.transpose(1, 0, 2), 6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).transpose(1, 0, 2), 8: np.rot90,
}


@pytest.mark.parametrize("order", ["<", ">"], ids=["Intel", "Motorola"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(orientation, order):
    stored = images.pixels(JPEG)
    expected = UPRIGHT[orientation](stored)
    for data in (exif(orientation, order), exif(orientation, order, tags=(0x10F, 0x110), first=20)):
        turned = with_exif(JPEG, data)
        np.testing.assert_array_equal(images.pixels(turned), expected)
        np.testing.assert_array_equal(in_map(images.decode, *images.plain(turned)), expected)


def test_exif_wherever_a_format_allows_it():
    plain = {kind: np.rot90(images.pixels(encode(IMAGE, kind, **options)), -1) for kind, options in (
        ("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True}))}
    plain["JPEG, progressive"] = np.rot90(images.pixels(encode(IMAGE, "JPEG", progressive=True)), -1)
    for name, file in exif_in_odd_places(IMAGE).items():
        expected = plain.get(name, plain[name.partition(",")[0].upper()])
        np.testing.assert_array_equal(images.pixels(file), expected, name)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_as_pillow_writes_and_reads_it(kind):
    for orientation in range(1, 9):
        tags = Image.Exif()
        tags[0x010F], tags[0x0112] = "a camera", orientation
        encoded = encode(IMAGE, kind, exif=tags)
        expected = np.asarray(ImageOps.exif_transpose(Image.fromarray(images.pixels(encode(IMAGE, kind)))))
        assert expected.shape == (30, 40, 3)
        expected = UPRIGHT[orientation](expected)
        np.testing.assert_array_equal(images.pixels(encoded), expected)


@pytest.mark.parametrize("data", [
    exif(0), exif(9), exif(65535), exif(6)[:14], exif(6)[:10] + b"\xff" * 20,
    exif(6)[:10] + b"\0\0\0\0", b"Exif\0\0II*\0", b"Exif\0\0XX*\0" + exif(6)[10:]], ids=range(8))
def test_exif_that_makes_no_sense_changes_nothing(data):
    encoded = with_exif(JPEG, data)
    np.testing.assert_array_equal(images.pixels(encoded), images.pixels(JPEG))


def test_exif_in_wrong_places_changes_nothing():
    for name, file in exif_in_wrong_places(IMAGE).items():
        assert images.pixels(file).shape == (30, 40, 3), name


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_exif_beside_a_colour_profile(kind):
    tags = Image.Exif()
    tags[0x0112] = 6
    image = np.random.default_rng(0).integers(0, 256, (90, 80, 3), np.uint8)
    encoded = encode(image, kind, exif=tags, icc_profile=np.random.default_rng(1).bytes(2500))
    np.testing.assert_array_equal(images.pixels(encoded), np.rot90(images.pixels(encode(image, kind)), -1))


def test_webp_whose_promised_exif_is_missing():
    webp = encode(IMAGE, "WEBP")
    broken = with_webp_chunks(webp) + webp_chunk(b"none", exif(6)[6:])
    np.testing.assert_array_equal(images.pixels(broken), images.pixels(webp))


SIZES = [(30, 40), (31, 41), (16, 16), (17, 23), (45, 20), (20, 55), (64, 65), (30, 39), (1, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_central_crop_is_tensorflows_rule(size):
    expected = tf.image.resize_with_crop_or_pad(IMAGE, *size).numpy()
    np.testing.assert_array_equal(images.crop(IMAGE, size), expected)
    np.testing.assert_array_equal(
        in_map(lambda image: images.crop(image, size), IMAGE), expected)


@pytest.mark.parametrize(("place", "top", "left"), [
    ((0.5, 0.0), 7, 0), ((0.5, 1.0), 7, 23), ((0.0, 0.5), 0, 11), ((1.0, 0.25), 14, 5)])
def test_crop_at_a_place(place, top, left):
    cropped = images.crop(IMAGE, (16, 17), place=place)
    np.testing.assert_array_equal(cropped, IMAGE[top:top + 16, left:left + 17])
    np.testing.assert_array_equal(images.crop(IMAGE, (30, 55), place=place), images.crop(IMAGE, (30, 55)))  # no rest


def test_facenets_central_crops():
    rows = np.repeat(np.arange(250, dtype=np.uint8), 250 * 3).reshape(250, 250, 3)
    assert images.crop(rows, 160)[0, 0, 0] == 45
    assert images.crop(rows, 161)[0, 0, 0] == 44  # odd: the pixel more is lost at the end
    padded = images.crop(rows + 1, 300).numpy()
    assert not padded[:25].any()
    assert not padded[275:].any()
    assert not padded[:, :25].any()
    assert padded[25:275, 25:275].all()
    # Zeros before standardisation, as there: -0.996 after it.
    assert (padded[0, 0, 0] - 127.5) / 128 == -0.99609375


@pytest.mark.parametrize("size", SIZES)
def test_random_crop_against_a_loop(size):
    height, width = size
    for y, x in [(0, 0), (0.999999, 0.999999), (0.5, 0.25), (0.1, 0.8)]:
        top, left = (int(draw * (max(have - want, 0) + 1))
                     for draw, have, want in ((y, 30, height), (x, 40, width)))
        expected = np.zeros((height, width, 3), np.uint8)
        piece = IMAGE[top:top + height, left:left + width]
        down, right = (max(height - 30, 0) // 2, max(width - 40, 0) // 2)
        expected[down:down + piece.shape[0], right:right + piece.shape[1]] = piece
        position = tf.constant([y, x], tf.float32)
        np.testing.assert_array_equal(images.crop(IMAGE, size, position), expected)
        np.testing.assert_array_equal(
            in_map(lambda image, p: images.crop(image, size, p), IMAGE, position), expected)


def test_random_crops_reach_every_place_equally():
    draws = np.random.default_rng(1).random((3000, 2), np.float32)
    marked = np.arange(36, dtype=np.uint8).reshape(6, 6, 1) * np.ones(3, np.uint8)
    positions = tf.data.Dataset.from_tensor_slices(draws)
    corners = list(positions.map(lambda p: images.crop(marked, (4, 5), p)[0, 0, 0])
                   .as_numpy_iterator())
    places, counts = np.unique(corners, return_counts=True)
    assert places.tolist() == [0, 1, 6, 7, 12, 13]
    assert np.abs(counts - 500).max() < 5 * np.sqrt(3000 / 6 * 5 / 6)


@pytest.mark.parametrize("flipped", [True, False])
def test_flip(flipped):
    expected = IMAGE[:, ::-1] if flipped else IMAGE
    np.testing.assert_array_equal(images.flip(tf.constant(IMAGE), tf.constant(flipped)), expected)
    np.testing.assert_array_equal(in_map(images.flip, IMAGE, flipped), expected)


@pytest.mark.parametrize("degrees", [-10.0, 0.97627, 7.5])
def test_rotation_turns_counter_clockwise_about_the_centre(degrees):
    image = picture(61, 80)
    rotated = images.rotate(image, tf.constant(degrees)).numpy()
    turn = cv2.getRotationMatrix2D((39.5, 30.0), degrees, 1.0)  # positive: counter-clockwise
    expected = cv2.warpAffine(image, turn, (80, 61), flags=cv2.INTER_LINEAR)
    # OpenCV rounds places to 1/32 pixel, and our picture is smooth but at the border.
    difference = np.abs(rotated.astype(int) - expected)
    assert np.mean(difference) < 0.4
    assert difference[12:-12, 12:-12].max() <= 2
    np.testing.assert_array_equal(
        in_map(images.rotate, image, tf.constant(degrees)), rotated)


def test_rotation_against_pillow():
    image = picture(61, 80)
    expected = np.asarray(Image.fromarray(image).rotate(8, Image.Resampling.BILINEAR))
    rotated = images.rotate(image, tf.constant(8.0)).numpy()
    assert np.abs(rotated.astype(int) - expected)[12:-12, 12:-12].max() <= 1
    assert not rotated[0, 0].any()
    assert not rotated[-1, -1].any()


def test_no_rotation_changes_nothing():
    np.testing.assert_array_equal(images.rotate(IMAGE, tf.constant(0.0)), IMAGE)


def test_map_readable_leaves_out_what_fails():
    encoded = [JPEG, b"", encode(IMAGE), b"hello", encode(IMAGE, "GIF")]

    @tf.function
    def shapes(encoded):
        return images.map_readable(lambda one: tf.shape(images.decode(one, tf.constant(1))), encoded)

    places, results = shapes(tf.constant(encoded))
    assert places.numpy().tolist() == [0, 2, 4]
    assert results.numpy().tolist() == [[30, 40, 3]] * 3
    for nothing in ([b"", b"x"], []):
        places, results = shapes(tf.constant(nothing, tf.string))
        assert places.shape == (0,)
        assert results.shape == (0, 3)


def test_sizes():
    assert images.height_width(112) == (112, 112)
    assert images.height_width((112, 96)) == images.height_width([112, 96]) == (112, 96)
