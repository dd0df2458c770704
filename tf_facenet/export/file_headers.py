"""Whole image files → pixels in TensorFlow's graph, without Python: `data.images.pixels` for exported networks.

What `data.headers` finds is found here by the same rules, of JPEG, PNG, GIF, BMP and WebP; a table of files in the
tests holds both to the same answers. What TensorFlow's decoders do not read is an error: TIFF, PGM and PPM, BMP with a
palette, animated WebP; so is a file of more than `MAX_PARTS` segments, chunks or blocks.
"""

import functools

import numpy as np
import tensorflow as tf

from tf_facenet.data import headers, images

MAX_PARTS = 50_000  # about a second
_BEYOND = 16  # zeros behind the file, so that numbers at its end need no care
_WINDOW = 4096  # bytes that are searched for a marker at a time
_IS_MARKER = np.array([byte not in headers.WITHOUT_LENGTH for byte in range(256)])
_GREY_PALETTE = bytes(value for level in range(256) for value in (level, level, level, 0))
_EXIF = b"Exif\0\0"


def pixels(encoded):
    """Pixels of an encoded image, upright.

    Args:
        encoded: scalar string, a file.

    Returns:
        uint8 [h, w, 3].

    Raises:
        tf.errors.InvalidArgumentError: it is none of the formats, or damaged, or claims to be huge.
    """
    content = tf.pad(tf.io.decode_raw(encoded, tf.uint8), [[0, _BEYOND]])
    begins = tf.reduce_all(_File(content).fixed(0, 2) == [list(magic) for magic in _LOOKS], axis=1)
    kind = tf.where(tf.reduce_any(begins), tf.argmax(tf.cast(begins, tf.int32), output_type=tf.int32), len(_LOOKS))
    branches = [functools.partial(look, encoded, content) for look in _LOOKS.values()]
    size, orientation, channels, end = tf.switch_case(kind, [*branches, _found])
    count = tf.reduce_prod(size)
    usable = (count > 0) & (count <= headers.MAX_PIXELS) & (orientation > 0)
    # Taken away instead of asserted: nothing may be decoded before the answer is known.
    encoded = tf.where(usable, encoded, "")
    encoded = tf.cond(end > 0, lambda: tf.strings.substr(encoded, 0, end) + ";", lambda: encoded)
    image = tf.cond(channels == 4, lambda: _decoded(encoded, 4)[..., :3], lambda: _decoded(encoded, 3))
    return tf.cond(orientation > 1, lambda: images.upright(image, orientation), lambda: image)


def _decoded(encoded, channels):
    """Never with 0 channels, for which TensorFlow 2.21 writes beyond its memory if a WebP is animated."""
    image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
    return tf.ensure_shape(image, [None, None, channels])


def _found(size=(0, 0), orientation=1, channels=3, end=0):
    """(height, width), orientation, channels to decode, and the end of the part to decode or 0. No size: unreadable."""
    return (tf.cast(size, tf.int64), tf.cast(orientation, tf.int32), tf.cast(channels, tf.int32),
            tf.cast(end, tf.int32))


class _File:
    """The bytes of a file, with `_BEYOND` zeros behind them. Places are int64, and may lie beyond its end."""

    def __init__(self, content):
        self.bytes = content
        self.length = tf.size(content, tf.int64) - _BEYOND

    def __call__(self, at, length):
        """uint8 [length], or fewer far beyond the end."""
        return self.bytes[at : at + length]

    def begins(self, text, at=0):
        """Whether the file has these bytes at a place."""
        return tf.reduce_all(self(at, len(text)) == list(text))

    def fixed(self, at, length):
        """uint8 [length] for a small number that is known beforehand."""
        return tf.ensure_shape(self(at, length), [length])

    def little(self, at, length):
        """Unsigned number, its lowest byte first."""
        return _number(self(at, length), 256 ** np.arange(length))

    def big(self, at, length):
        """Unsigned number, its highest byte first."""
        return _number(self(at, length), 256 ** np.arange(length)[::-1])


def _number(digits, weights):
    return tf.reduce_sum(tf.cast(digits, tf.int64) * weights, axis=-1)


def _said(encoded, name, walk):
    """The orientation that a file says; its parts are followed only if there is the name of EXIF data somewhere."""
    anywhere = tf.strings.regex_full_match(encoded, rf"\C*{name}\C*")
    return tf.cond(anywhere, walk, lambda: 1)


def _follow(at, end, part):
    """The first orientation that the parts of a file say, or 1, or -1 if they are too many.

    Args:
        at: where the first part begins.
        end: where the last one ends.
        part: function of a place that gives the place of the next part, and the orientation or 0.
    """
    at, orientation = tf.while_loop(
        lambda at, orientation: (at + 8 <= end) & (orientation == 0), lambda at, _: part(at),
        (tf.constant(at, tf.int64), tf.constant(0)), maximum_iterations=MAX_PARTS, parallel_iterations=1)
    return tf.where(orientation > 0, orientation, tf.where(at + 8 <= end, -1, 1))


def _one_call(*specs):
    """Makes a function one operation in the graph: what is not taken costs nothing then, see `images.upright`."""
    return tf.function(input_signature=specs, autograph=False, experimental_attributes={"_noinline": True})


_ENCODED, _CONTENT, _PLACE = tf.TensorSpec([], tf.string), tf.TensorSpec([None], tf.uint8), tf.TensorSpec([], tf.int64)


@_one_call(_CONTENT, _PLACE, _PLACE)
def _orientation(content, at, end):
    """What the EXIF data between two places of a file say, 1 to 8, or 0."""
    file = _File(content)
    at += tf.where(file.begins(_EXIF, at), tf.constant(len(_EXIF), tf.int64), 0)
    is_little, end = file.begins(b"II*\0", at), tf.minimum(end, file.length)

    def number(digits):
        weights = 256 ** np.arange(digits.shape[-1])
        return tf.where(is_little, _number(digits, weights), _number(digits, weights[::-1]))

    first = tf.minimum(at + number(file.fixed(at + 4, 4)) + 2, file.length)
    count = tf.clip_by_value((end - first) // 12, 0, number(file.fixed(first - 2, 2)))
    rows = tf.ensure_shape(tf.reshape(file(first, 12 * count), [-1, 12]), [None, 12])
    value, kind = rows[:, 8:], number(rows[:, 2:4])
    values = tf.where(kind == 3, number(value[:, :2]), tf.where(kind == 4, number(value), number(value[:, :1])))
    said = tf.concat([values[number(rows[:, :2]) == 0x0112], [0]], axis=0)[0]
    is_exif = is_little | file.begins(b"MM\0*", at)
    return tf.cast(tf.where(is_exif & (said >= 1) & (said <= 8), said, 0), tf.int32)


def _jpeg(encoded, content):
    size = tf.image.extract_jpeg_shape(encoded)[:2]
    return _found(size, _said(encoded, r"Exif\x00\x00", lambda: _jpeg_orientation(content)))


@_one_call(_CONTENT)
def _jpeg_orientation(content):
    file = _File(content)

    def part(at):
        window = file(at, _WINDOW + 1)
        is_marker = (window[:-1] == 0xFF) & tf.gather(_IS_MARKER, tf.cast(window[1:], tf.int32))
        return tf.cond(tf.reduce_any(is_marker), lambda: segment(at + tf.argmax(tf.cast(is_marker, tf.int32))),
                       lambda: (at + _WINDOW, 0))

    def segment(at):
        marker, start, end = file.big(at + 1, 1), at + 4, at + 2 + file.big(at + 2, 2)
        is_exif = (marker == 0xE1) & file.begins(_EXIF, start)
        is_last = (marker == 0xD9) | (marker == 0xDA)
        return (tf.where(is_last, file.length, end),
                tf.cond(is_exif, lambda: _orientation(content, start, end), lambda: 0))

    return _follow(2, file.length, part)


def _png(encoded, content):
    file = _File(content)
    size = tf.stack([file.big(20, 4), file.big(16, 4)])
    return _found(size, _said(encoded, "eXIf", lambda: _png_orientation(content)))


@_one_call(_CONTENT)
def _png_orientation(content):
    file = _File(content)

    def part(at):
        start, end, is_exif = at + 8, at + 8 + file.big(at, 4), file.begins(b"eXIf", at + 4)
        return (tf.where(file.begins(b"IEND", at + 4), file.length, end + 4),
                tf.cond(is_exif, lambda: _orientation(content, start, end), lambda: 0))

    return _follow(8, file.length, part)


@_one_call(_ENCODED, _CONTENT)
def _webp(encoded, content):
    file = _File(content)
    extended, lossless, flags = file.begins(b"VP8X", 12), file.begins(b"VP8L", 12), file.little(20, 1)
    is_animated = extended & (flags & 0x02 > 0)
    has_alpha = (extended & (flags & 0x10 > 0)) | (lossless & (file.little(24, 1) & 0x10 > 0))
    bits = file.little(21, 4)
    lossy = tf.stack([file.little(28, 2), file.little(26, 2)]) % 2**14
    size = tf.where(extended, tf.stack([file.little(27, 3), file.little(24, 3)]) + 1,
                    tf.where(lossless, tf.stack([bits // 2**14, bits]) % 2**14 + 1, lossy))
    usable = file.begins(b"WEBP", 8) & ~is_animated
    return _found(tf.where(usable, size, 0), _said(encoded, "EXIF", lambda: _webp_orientation(content)),
                  tf.where(has_alpha, 4, 3))


@_one_call(_CONTENT)
def _webp_orientation(content):
    file = _File(content)

    def part(at):
        start, length, is_exif = at + 8, file.little(at + 4, 4), file.begins(b"EXIF", at)
        return (start + length + length % 2,
                tf.cond(is_exif, lambda: _orientation(content, start, start + length), lambda: 0))

    return _follow(12, tf.minimum(file.length, 8 + file.little(4, 4)), part)


@_one_call(_ENCODED, _CONTENT)
def _gif(_, content):
    """Follows the blocks to the end of the first frame, which alone is to be decoded."""
    file = _File(content)

    def behind_colors(at, flags_at):
        flags = file.little(flags_at, 1)
        return at + tf.where(flags & 0x80 > 0, 3 * tf.gather(2 ** np.arange(1, 9), flags & 7), 0)

    between, in_extension, in_frame, done, bad = range(5)

    def step(at, state, frame):
        byte = file.little(at, 1)
        is_frame = (state == between) & (byte == ord(","))
        is_extension = (state == between) & (byte == ord("!"))
        after_between = tf.where(is_frame, in_frame, tf.where(is_extension, in_extension, bad))
        after_blocks = tf.where(byte > 0, state, tf.where(state == in_frame, done, between))
        behind_start = tf.where(is_frame, behind_colors(at + 10, at + 9) + 1, at + 2)
        return (tf.where(state == between, behind_start, at + byte + 1),
                tf.where(state == between, after_between, after_blocks), tf.where(is_frame, at, frame))

    end, state, frame = tf.while_loop(
        lambda at, state, _: (state < done) & (at < file.length), step,
        (behind_colors(tf.constant(13, tf.int64), 10), tf.constant(between), tf.constant(0, tf.int64)),
        maximum_iterations=MAX_PARTS, parallel_iterations=1)
    size = tf.stack([file.little(frame + 7, 2), file.little(frame + 5, 2)])
    return _found(tf.where(state == done, size, 0), end=tf.where(state == done, end, 0))


@_one_call(_ENCODED, _CONTENT)
def _bmp(_, content):
    file = _File(content)
    height, bits = file.little(22, 4), file.little(28, 2)  # a negative height: rows from the top
    is_grey = (bits == 8) & file.begins(_GREY_PALETTE, 14 + file.little(14, 4))
    size = tf.stack([tf.minimum(height, 2**32 - height), file.little(18, 4)])
    return _found(tf.where(is_grey | (bits == 24) | (bits == 32), size, 0))


# How a file of each format begins; the decoder looks at the rest of its magic number.
_LOOKS = {b"\xff\xd8": _jpeg, b"\x89P": _png, b"GI": _gif, b"RI": _webp, b"BM": _bmp}
