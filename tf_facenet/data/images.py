"""Images: from the bytes of files to the pixels that a network gets.

The steps and their order are davidsandberg/facenet's (src/facenet.py `create_input_pipeline`;
MIT): decode, rotate, crop, flip. Deliberate differences: images are turned as their EXIF
orientation says, an image that is smaller than a random crop is padded instead of stopping the
queue, and rotation interpolates bilinearly, not bicubically. Standardisation is the network's
first layer.

`plain` looks at the bytes before anything is decoded, and gives what `decode` takes; the steps after it are TensorFlow
operations, for use in a graph, too.
"""

import math

import cv2
import numpy as np
import tensorflow as tf

from tf_facenet.data import headers, samples

_BY_TENSORFLOW = frozenset(("JPEG", "PNG", "GIF"))  # OpenCV reads the others, and more kinds of them
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def height_width(image_size):
    """(height, width) of an image size, which is one number or such a pair."""
    return (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)


def plain(content):
    """What `decode` takes, from the bytes of an image file.

    Args:
        content: a JPEG, PNG, BMP, GIF (its first frame), WebP (the same), TIFF (its first page), PBM, PGM or PPM file.

    Returns:
        ``(encoded, orientation)``: bytes of a JPEG, PNG, GIF or 24-bit BMP file, and how it must be turned, 1 to 8.

    Raises:
        ValueError: it is none of these, or damaged, or claims to be huge.
    """
    kind, _, _, orientation = headers.read(content)
    if kind == "GIF":
        return headers.first_frame(content), orientation
    return content if kind in _BY_TENSORFLOW else _as_bmp(content, kind), orientation


def plain_or_reason(contents):
    """`plain` for some images, of which some may be bad.

    Args:
        contents: n images, each bytes, or a str that says why there are none.

    Returns:
        ``(encoded, orientations, reasons)``: [n] object, each bytes, those of bad images empty; int32 [n]; and n
        reasons, each None or a str.
    """
    encoded, orientations = np.full(len(contents), b"", object), np.ones(len(contents), np.int32)
    reasons = [content if isinstance(content, str) else None for content in contents]
    for place, content in enumerate(contents):
        if reasons[place] is None:
            try:
                encoded[place], orientations[place] = plain(content)
            except ValueError as error:
                reasons[place] = str(error)
    return encoded, orientations, reasons


def damaged(content):
    """Why an image cannot be decoded although its header is good."""
    return f"truncated or corrupt {headers.image_format(content)}"


def decode(encoded, orientation):
    """Pixels of an encoded image, upright, in TensorFlow operations.

    Args:
        encoded: scalar string, as `plain` gives it. Grey, CMYK, 16-bit and transparent images become RGB.
        orientation: scalar int32, 1 to 8.

    Returns:
        uint8 [h, w, 3].

    Raises:
        tf.errors.InvalidArgumentError: it is damaged.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return tf.cond(orientation > 1, lambda: upright(image, orientation), lambda: image)


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
    headers.read(content)
    return content


def pixels(content):
    """Pixels of an encoded image; see `read`."""
    try:
        return decode(*plain(content)).numpy()
    except tf.errors.InvalidArgumentError:
        raise ValueError(damaged(content)) from None


def _as_bmp(content, kind):
    """An image as OpenCV reads it, as a BMP file, which costs no more than copying the pixels."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), _AS_STORED)
    if image is None:
        raise ValueError(damaged(content))
    if kind in ("PGM", "PPM"):
        image = _scaled(image, headers.maximum(content), content[:2] in (b"P2", b"P3"))
    elif image.dtype == np.uint16:
        image = image >> 8  # as libpng does it
    return cv2.imencode(".bmp", image.astype(np.uint8))[1].tobytes()


def _scaled(image, white, is_text):
    """Pixels 0..255 of what OpenCV reads of a PGM or PPM file: text of 8 bits is scaled, the rest is as stored."""
    if white == 255 or (is_text and white < 255):
        return image
    return image >> 8 if white == 65535 else np.minimum(np.round(image * (255 / white)), 255)


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


_UPRIGHT_SPEC = [tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.int32)]


# Not inlined: a branch that is not taken costs time for each operation in it.
@tf.function(input_signature=_UPRIGHT_SPEC, autograph=False, experimental_attributes={"_noinline": True})
def upright(image, orientation):
    """Undo an orientation: 2 mirrored, 3 upside down … (CIPA DC-008)."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    up_down = tf.reduce_any(orientation == [3, 4, 7, 8])
    left_right = tf.reduce_any(orientation == [2, 3, 6, 7])
    return tf.raw_ops.Reverse(tensor=image, dims=tf.stack([up_down, left_right, False]))
