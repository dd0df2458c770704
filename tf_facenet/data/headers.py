"""What an image file says about itself, without decoding it: format, size, orientation.

Formats: JPEG (ITU T.81 B.1, B.2), PNG (ISO 15948), GIF89a, BMP, WebP (RFC 9649), TIFF 6.0, PBM, PGM and PPM (Netpbm),
EXIF (CIPA DC-008). Segments and chunks are followed one by one from the start, so that nothing is taken for one that
only looks like it. `export.file_headers` does the same in TensorFlow's graph.
"""

import re
from functools import partial
from typing import NamedTuple

MAX_PIXELS = 100_000_000  # a small file can claim to unpack to gigabytes
FORMATS = "JPEG, PNG, BMP, GIF, WebP, TIFF, PGM or PPM"  # as messages name them
SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp",
                      ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm"))

_MAGIC = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"),
          (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"))
_NETPBM = {b"1": "PBM", b"2": "PGM", b"3": "PPM", b"4": "PBM", b"5": "PGM", b"6": "PPM"}
_NETPBM_START = re.compile(rb"P([1-6])\s+[#\d]")
_NETPBM_SIZE = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,5})?")
# Start-of-frame markers: all of 0xC0..0xCF that are not tables, extensions or conditioning.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
WITHOUT_LENGTH = frozenset((0x00, 0x01, 0xFF, *range(0xD0, 0xD9)))
_APP1, _ENDS = 0xE1, frozenset((0xD9, 0xDA))  # the image's and that of what comes before the pixels
_EXIF = b"Exif\0\0"
_ORDERS = {b"II*\0": "little", b"MM\0*": "big"}
_NUMBER_BYTES = {1: 1, 3: 2, 4: 4}  # TIFF's types of whole numbers


def image_format(head):
    """Name of the format that the first 16 bytes of a file announce, or None."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and head[6:10] == bytes(4):  # two letters alone also start texts
        return "BMP"
    found = _NETPBM_START.match(head)
    return _NETPBM[found[1]] if found else None


class Header(NamedTuple):
    """What an image file says: its format, its pixels as stored, and how they must be turned.

    `orientation`: 1 to 8 as the first EXIF data say that say it (CIPA DC-008); 1 = not at all. TIFF has 1, because
    OpenCV turns it by itself.
    """

    kind: str
    height: int
    width: int
    orientation: int


def read(encoded):
    """The `Header` of an encoded image.

    Raises:
        ValueError: it is no usable image, with a short reason.
    """
    if not encoded:
        raise ValueError("empty file")
    kind = image_format(encoded[:16])
    if kind is None:
        raise ValueError(f"not a {FORMATS} image (starts with {encoded[:8]!r})")
    (height, width), blocks = _LOOKS[kind](encoded)
    if height * width > MAX_PIXELS:
        raise ValueError(f"image of {width}x{height} pixels, more than {MAX_PIXELS:,}")
    if height * width == 0:
        raise ValueError(f"truncated or corrupt {kind}")
    if kind == "TIFF":
        _check_tiff(encoded)
    return Header(kind, height, width, _orientation(blocks) if blocks else 1)


def image_size(encoded):
    """(height, width) that an encoded image claims, as stored; (0, 0) if it ends before it says so."""
    return _LOOKS[image_format(encoded[:16])](encoded)[0]


def fault(encoded):
    """Short reason why the bytes of a file are no usable image, or None if the header is good."""
    try:
        read(encoded)
    except ValueError as error:
        return str(error)
    return None


def first_frame(encoded):
    """A GIF without the frames after its first one, which TensorFlow's decoder would decode, too."""
    _, end = _gif_frame(encoded)
    return encoded[:end] + b";" if end else encoded


def maximum(encoded):
    """The number that stands for white in a PGM or PPM file."""
    return max(int(_NETPBM_SIZE.match(encoded)[3] or 1), 1)


def _jpeg(encoded):
    """Follows the segments up to the first scan."""
    size, blocks, at, last = (0, 0), [], 2, len(encoded) - 9
    while 0 <= (at := encoded.find(b"\xff", at)) <= last:
        marker = encoded[at + 1]
        if marker in WITHOUT_LENGTH:  # or a byte that fills
            at += 1
            continue
        if marker in _ENDS:
            break
        start, at = at + 4, at + 2 + (encoded[at + 2] << 8 | encoded[at + 3])
        if marker in _START_OF_FRAME:
            size = _big(encoded, start + 1, 2), _big(encoded, start + 3, 2)
        elif marker == _APP1 and encoded.startswith(_EXIF, start):
            blocks.append(encoded[start:at])
    return size, blocks


def _orientation(blocks):
    said = (_tags(block.removeprefix(_EXIF)).get(0x0112) for block in blocks)
    return next((value for value in said if value in range(1, 9)), 1)


def _chunks(encoded, at, wanted, extra, length_of):
    """The data of the chunks of a kind.

    Args:
        encoded: the file.
        at: where the first chunk begins.
        wanted: the kind, 4 bytes.
        extra: bytes of a chunk besides its data.
        length_of: (place of the kind, length of the data) of the chunk at a place.
    """
    kind = b""
    while at + 8 <= len(encoded) and kind != b"IEND":
        place, length = length_of(encoded, at)
        kind = encoded[place : place + 4]
        if kind == wanted:
            yield encoded[at + 8 : at + 8 + length]
        at += extra + length


def _png(encoded):
    blocks = _chunks(encoded, 8, b"eXIf", 12, lambda data, at: (at + 4, _big(data, at, 4)))
    return (_big(encoded, 20, 4), _big(encoded, 16, 4)), blocks


def _webp(encoded):
    def padded(data, at):
        length = _little(data, at + 4, 4)
        return at, length + length % 2

    return _webp_size(encoded), _chunks(encoded[: 8 + _little(encoded, 4, 4)], 12, b"EXIF", 8, padded)


def _gif_frame(encoded):
    """(place of the descriptor, end) of the first frame; zeros if the file ends before it."""
    def behind_blocks(at):
        while length := encoded[at]:
            at += length + 1
        return at + 1

    def behind_colors(at, flags):
        return at + (3 << (flags & 7) + 1 if flags & 0x80 else 0)

    try:
        at = behind_colors(13, encoded[10])
        while encoded[at] == ord("!"):
            at = behind_blocks(at + 2)
        if encoded[at] == ord(","):
            return at, behind_blocks(behind_colors(at + 10, encoded[at + 9]) + 1)
    except IndexError:
        pass
    return 0, 0


def _gif(encoded):
    at, _ = _gif_frame(encoded)
    return (_little(encoded, at + 7, 2), _little(encoded, at + 5, 2)) if at else (0, 0), ()


def _bmp(encoded):
    if _little(encoded, 14, 4) == 12:  # OS/2
        return (_little(encoded, 20, 2), _little(encoded, 18, 2)), ()
    height = int.from_bytes(encoded[22:26], "little", signed=True)  # negative: rows from the top
    return (abs(height), _little(encoded, 18, 4)), ()


def _webp_size(encoded):
    if encoded[12:16] == b"VP8X":
        return _little(encoded, 27, 3) + 1, _little(encoded, 24, 3) + 1
    if encoded[12:16] == b"VP8L":
        bits = _little(encoded, 21, 4)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    return _little(encoded, 28, 2) & 0x3FFF, _little(encoded, 26, 2) & 0x3FFF


def _netpbm(encoded):
    found = _NETPBM_SIZE.match(encoded)
    return (int(found[2]), int(found[1])) if found else (0, 0), ()


def _tiff(encoded):
    """Of a tiled image the size of a tile, if that is larger: one is decoded as a whole."""
    tags = _tags(encoded)
    return (max(tags.get(257, 0), tags.get(323, 0)), max(tags.get(256, 0), tags.get(322, 0))), ()


def _check_tiff(encoded):
    tags = _tags(encoded)
    if tags.get(254, 0) & 1:
        raise ValueError("TIFF that begins with a preview, such as a camera's raw file")
    if tags.get(258, 1) > 16 or tags.get(339, 1) != 1:
        raise ValueError("TIFF whose samples are not whole numbers of up to 16 bits")


def _tags(tiff):
    """{tag: its first number} of the first directory of TIFF data; {} if they are none."""
    order, found = _ORDERS.get(tiff[:4]), {}
    if order is None:
        return found

    def number(at, length):
        return int.from_bytes(tiff[at : at + length], order)

    first = number(4, 4) + 2
    for at in range(first, min(first + 12 * number(first - 2, 2), len(tiff) - 11), 12):
        length = _NUMBER_BYTES.get(number(at + 2, 2))
        if length:
            fits = length * number(at + 4, 4) <= 4  # else there stands where the numbers are
            found.setdefault(number(at, 2), number(at + 8 if fits else number(at + 8, 4), length))
    return found


def _number(order, encoded, start, length):
    return int.from_bytes(encoded[start : start + length], order)


_little, _big = partial(_number, "little"), partial(_number, "big")

# Format → function of a file that gives the size, zeros if it ends before it says so, and EXIF data.
_LOOKS = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "BMP": _bmp, "WebP": _webp, "TIFF": _tiff,
          "PBM": _netpbm, "PGM": _netpbm, "PPM": _netpbm}
