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
_IS_FRAME = np.array([byte in headers.START_OF_FRAME for byte in range(256)])
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
    file = _File(tf.pad(tf.io.decode_raw(encoded, tf.uint8), [[0, _BEYOND]]))
    begins = tf.stack([file.begins(magic) for magic, _ in _LOOKS] + [True])
    kind = tf.argmax(tf.cast(begins, tf.int32), output_type=tf.int32)
    branches = [functools.partial(look, file) for _, look in _LOOKS]
    size, orientation, channels, end = tf.switch_case(kind, [*branches, _found])
    count = tf.reduce_prod(size)
    # Taken away instead of asserted: nothing may be decoded before the answer is known.
    encoded = tf.where((count > 0) & (count <= headers.MAX_PIXELS), encoded, "")
    encoded = tf.cond(end > 0, lambda: tf.strings.substr(encoded, 0, end) + ";", lambda: encoded)
    image = tf.cond(channels == 4, lambda: _decoded(encoded, 4)[..., :3], lambda: _decoded(encoded, 3))
    return tf.cond(orientation > 1, lambda: images.upright(image, orientation), lambda: image)


def _decoded(encoded, channels):
    """Never with 0 channels, for which TensorFlow 2.21 writes beyond its memory if a WebP is animated."""
    image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
    return tf.ensure_shape(image, [None, None, channels])


def _found(size=(0, 0), orientation=1, channels=3, end=0):
    """(height, width), orientation, channels to decode, and the end of the part to decode or 0. No size: unreadable."""
    return (tf.cast(tf.stack(size), tf.int64), tf.cast(orientation, tf.int32), tf.cast(channels, tf.int32),
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


def _follow(file, at, end, part):
    """Size and orientation that the parts of a file say.

    Args:
        file: `_File`.
        at: where the first part begins.
        end: where the last one ends.
        part: function of a place that gives the place of the next part, the size or zeros, and the orientation or 0.

    Returns:
        ``(size, orientation)``, int64 [2] and int32. The first size and orientation count.
    """
    def step(at, size, orientation):
        following, more_size, more_orientation = part(at)
        size = tf.where(tf.reduce_any(size > 0), size, more_size)
        return following, size, tf.where(orientation > 0, orientation, more_orientation)

    begin = tf.constant(at, tf.int64), tf.zeros([2], tf.int64), tf.constant(0)
    at, size, orientation = tf.while_loop(
        lambda at, *_: at + 8 <= end, step, begin, maximum_iterations=MAX_PARTS, parallel_iterations=1)
    return tf.where(at + 8 <= end, tf.zeros_like(size), size), tf.maximum(orientation, 1)


_SPEC = [tf.TensorSpec([None], tf.uint8), tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.int64)]


# One function in the graph, called by the segments and chunks of three formats.
@tf.function(input_signature=_SPEC, autograph=False, experimental_attributes={"_noinline": True})
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


def _jpeg(file):
    def part(at):
        window = file(at, _WINDOW + 1)
        is_marker = (window[:-1] == 0xFF) & tf.gather(_IS_MARKER, tf.cast(window[1:], tf.int32))
        return tf.cond(tf.reduce_any(is_marker),
                       lambda: _segment(file, at + tf.argmax(tf.cast(is_marker, tf.int32))),
                       lambda: (at + _WINDOW, tf.zeros([2], tf.int64), 0))

    return _found(*_follow(file, 2, file.length, part))


def _segment(file, at):
    marker, start, end = file.big(at + 1, 1), at + 4, at + 2 + file.big(at + 2, 2)
    size = tf.stack([file.big(start + 1, 2), file.big(start + 3, 2)])
    is_exif = (marker == 0xE1) & file.begins(_EXIF, start)
    orientation = tf.cond(is_exif, lambda: _orientation(file.bytes, start, end), lambda: 0)
    is_last = (marker == 0xD9) | (marker == 0xDA)
    return tf.where(is_last, file.length, end), tf.where(tf.gather(_IS_FRAME, marker), size, 0), orientation


def _png(file):
    def part(at):
        start, end = at + 8, at + 8 + file.big(at, 4)
        size = tf.stack([file.big(start + 4, 4), file.big(start, 4)])
        is_exif = file.begins(b"eXIf", at + 4)
        orientation = tf.cond(is_exif, lambda: _orientation(file.bytes, start, end), lambda: 0)
        following = tf.where(file.begins(b"IEND", at + 4), file.length, end + 4)
        return following, tf.where(file.begins(b"IHDR", at + 4), size, 0), orientation

    return _found(*_follow(file, 8, file.length, part))


def _webp(file):
    def part(at):
        start, length, is_exif = at + 8, file.little(at + 4, 4), file.begins(b"EXIF", at)
        orientation = tf.cond(is_exif, lambda: _orientation(file.bytes, start, start + length), lambda: 0)
        return start + length + length % 2, _webp_size(file, at), orientation

    end = tf.minimum(file.length, 8 + file.little(4, 4))
    size, orientation = _follow(file, 12, end, part)
    extended, lossless = file.begins(b"VP8X", 12), file.begins(b"VP8L", 12)
    is_animated = extended & (file.little(20, 1) & 0x02 > 0)
    has_alpha = (extended & (file.little(20, 1) & 0x10 > 0)) | (lossless & (file.little(24, 1) & 0x10 > 0))
    usable = file.begins(b"WEBP", 8) & ~is_animated
    return _found(tf.where(usable, size, 0), orientation, tf.where(has_alpha, 4, 3))


def _webp_size(file, at):
    """Of a chunk that says it, or zeros."""
    bits = file.little(at + 9, 4)
    sizes = {
        b"VP8X": (file.little(at + 15, 3) + 1, file.little(at + 12, 3) + 1),
        b"VP8L": (bits // 2**14 % 2**14 + 1, bits % 2**14 + 1),
        b"VP8 ": (file.little(at + 16, 2) & 0x3FFF, file.little(at + 14, 2) & 0x3FFF),
    }
    return tf.add_n([tf.where(file.begins(kind, at), tf.stack(size), 0) for kind, size in sizes.items()])


def _gif(file):
    """Follows the blocks to the end of the first frame, which alone is to be decoded."""
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


def _bmp(file):
    height, bits = file.little(22, 4), file.little(28, 2)  # a negative height: rows from the top
    is_grey = (bits == 8) & file.begins(_GREY_PALETTE, 14 + file.little(14, 4))
    size = tf.stack([tf.minimum(height, 2**32 - height), file.little(18, 4)])
    return _found(tf.where(is_grey | (bits == 24) | (bits == 32), size, 0))


# How a file of each format begins; the rest of the signature is left to the decoder.
_LOOKS = ((b"\xff\xd8\xff", _jpeg), (b"\x89PNG", _png), (b"GIF8", _gif), (b"RIFF", _webp), (b"BM", _bmp))
