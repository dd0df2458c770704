"""Images: from the bytes of files to the pixels that a network gets. All in the graph.

The steps and their order are davidsandberg/facenet's (src/facenet.py `create_input_pipeline`;
MIT): decode, rotate, crop, flip. Deliberate differences: images are turned as their EXIF
orientation says, an image that is smaller than a random crop is padded instead of stopping the
queue, and rotation interpolates bilinearly, not bicubically. Standardisation is the network's
first layer.
"""

import math

import tensorflow as tf

from tf_facenet.data import headers, samples

# EXIF data begins with a TIFF header: in JPEG after "Exif\0\0" in the first 256 bytes; in PNG after "eXIf", perhaps
# behind a colour profile; in WebP near the end of the file, if a bit of its header says so (RFC 9649). Only so many
# bytes at the start or the end are searched for it, and for the orientation.
_EXIF_BYTES = 4096
_TIFF = r"(II\*\x00|MM\x00\*)"
_EXIF = (r"(\C{0,246}Exif\x00\x00" + _TIFF + r"|\CPNG\C*eXIf" + _TIFF
         + r"|RIFF\C{4}WEBPVP8X\C{4}[\x08-\x0f\x18-\x1f\x28-\x2f\x38-\x3f])\C*")
_ORIENTATION_TAG = 0x0112
_MAX_TAGS = 64


def height_width(image_size):
    """(height, width) of an image size, which is one number or such a pair."""
    return (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)


def decode(encoded):
    """Pixels of an encoded image, upright.

    Args:
        encoded: scalar string, a JPEG, PNG, BMP (without palette), GIF (its first frame) or WebP
            file. Grey, CMYK, 16-bit and transparent images become RGB; the EXIF orientation of
            JPEG, PNG and WebP is applied.

    Returns:
        uint8 [h, w, 3].

    Raises:
        tf.errors.InvalidArgumentError: it is none of these, or damaged.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    start = tf.strings.substr(encoded, 0, _EXIF_BYTES)
    return tf.cond(tf.strings.regex_full_match(start, _EXIF),
                   lambda: _upright(image, encoded), lambda: image)


def read(sample):
    """Pixels of an image, uint8 array [h, w, 3].

    Args:
        sample: as in `Faces`: path, bytes, or place in a record file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no image, or damaged, or claims to be huge.
    """
    return pixels(encoded(sample))


def encoded(sample):
    """Bytes of an image whose header promises that it may be decoded; see `read`."""
    content = samples.read(sample)
    fault = headers.fault(content)
    if fault:
        raise ValueError(fault)
    return content


def pixels(content):
    """Pixels of an encoded image; see `read`."""
    try:
        return decode(content).numpy()
    except tf.errors.InvalidArgumentError:
        raise ValueError(f"truncated or corrupt {headers.image_format(content)}") from None


def crop(image, image_size, position=None, place=(0.5, 0.5)):
    """Crop what is too large, and pad what is too small with zeros evenly on both sides.

    Args:
        image: [h, w, 3].
        image_size: one number or (height, width).
        position: float32 [2] in [0, 1), where the crop lies vertically and horizontally between
            the first and the last place; None = at `place`.
        place: shares of what is cut off that go at the top and at the left; halves are rounded as in
            `tf.image.resize_with_crop_or_pad`.

    Returns:
        [height, width, 3], same type.
    """
    target = tf.constant([*height_width(image_size), 3])
    size = tf.shape(image)
    spare = tf.maximum(size - target, 0)
    if position is None:
        begin = tf.cast(tf.cast(spare, tf.float32) * [*place, 0.0], tf.int32)
    else:
        places = tf.cast(spare + 1, tf.float32)
        begin = tf.cast(tf.pad(position, [[0, 1]]) * places, tf.int32)
    image = tf.slice(image, begin, size - spare)
    missing = target - size + spare
    before = missing // 2
    image = tf.cond(tf.reduce_any(missing > 0),
                    lambda: tf.pad(image, tf.stack([before, missing - before], axis=1)),
                    lambda: image)
    return tf.ensure_shape(image, [*height_width(image_size), 3])


def rotate(image, degrees):
    """Rotate an image [h, w, 3] counter-clockwise about its centre; the corners become black."""
    angle = degrees * (math.pi / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    size = tf.shape(image)[:2]
    y, x = tf.unstack(tf.cast(size - 1, tf.float32) / 2)  # centre
    # Output (column, row) -> input: two rows of an affine map, and two zeros for perspective.
    transform = [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y, 0.0, 0.0]
    rotated = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32)[tf.newaxis], transforms=tf.stack(transform)[tf.newaxis],
        output_shape=size, fill_value=0.0, interpolation="BILINEAR", fill_mode="CONSTANT")
    return tf.cast(tf.round(rotated[0]), image.dtype)


def flip(image, flipped):
    """Mirror an image [h, w, 3] left to right if `flipped`, a scalar bool."""
    return tf.cond(flipped, lambda: tf.reverse(image, [1]), lambda: image)


def map_readable(function, *columns):
    """Apply a function to each row of some tensors and leave out the rows for which it fails.

    For use in a graph: this is how a file that cannot be read is told from the others there.

    Args:
        function: of one row of each column, to a tensor of fixed shape.
        columns: tensors [n, ...].

    Returns:
        ``(places, results)``: int64 [m], the rows for which it worked, in order; and [m, ...].
    """
    count = tf.shape(columns[0], out_type=tf.int64)[0]
    rows = tf.data.Dataset.from_tensor_slices((tf.range(count), *columns))
    results = rows.map(lambda place, *row: (place, function(*row))).ignore_errors()
    nothing = tf.nest.map_structure(lambda spec: tf.zeros([0, *spec.shape], spec.dtype),
                                    results.element_spec)
    results = results.batch(tf.maximum(count, 1))
    return results.concatenate(tf.data.Dataset.from_tensors(nothing)).take(1).get_single_element()


_UPRIGHT_SPEC = [tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.string)]


# Not inlined: a branch that is not taken costs time for each operation in it, here 10 us an image.
@tf.function(input_signature=_UPRIGHT_SPEC, autograph=False, experimental_attributes={"_noinline": True})
def _upright(image, encoded):
    """Undo the orientation that the EXIF data say: 2 mirrored, 3 upside down … (CIPA DC-008)."""
    orientation = _orientation(encoded)
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    up_down = tf.reduce_any(orientation == [3, 4, 7, 8])
    left_right = tf.reduce_any(orientation == [2, 3, 6, 7])
    return tf.raw_ops.Reverse(tensor=image, dims=tf.stack([up_down, left_right, False]))


def _orientation(encoded):
    """Orientation 1..8 in a file that has EXIF data; 1 if it is missing or makes no sense."""
    is_webp = tf.strings.substr(encoded, 0, 4) == "RIFF"
    start = tf.where(is_webp, tf.maximum(tf.strings.length(encoded) - _EXIF_BYTES, 0), 0)
    data = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, start, _EXIF_BYTES), tf.uint8), tf.int32)
    fours = tf.stack([data[:-3], data[1:-2], data[2:-1], data[3:]], axis=1)
    is_tiff = (tf.reduce_all(fours == list(b"II*\0"), axis=1)
               | tf.reduce_all(fours == list(b"MM\0*"), axis=1))
    tiff = tf.argmax(is_tiff, output_type=tf.int32)
    little_endian = data[tiff] == ord("I")
    data = tf.pad(data[tiff:], [[0, 1]])  # what lies behind the end is zero

    def number(places, length):
        """Unsigned numbers of `length` bytes at places counted from the TIFF header."""
        places = tf.expand_dims(places, -1) + tf.range(length)
        digits = tf.gather(data, tf.clip_by_value(places, 0, tf.size(data) - 1))
        digits = tf.where(little_endian, tf.reverse(digits, [-1]), digits)
        return tf.reduce_sum(digits * 256 ** tf.range(length - 1, -1, -1), axis=-1)

    directory = number(4, 4)
    row = tf.range(_MAX_TAGS)
    tags = directory + 2 + 12 * row  # two bytes say how many, then each has twelve
    found = (number(tags, 2) == _ORIENTATION_TAG) & (row < number(directory, 2))
    value = tf.reduce_max(tf.where(found, number(tags + 8, 2), 0))
    return tf.where(tf.reduce_any(is_tiff) & (value >= 1) & (value <= 8), value, 1)
