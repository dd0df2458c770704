"""What the first bytes of an image file say about it, without decoding it.

Formats: JPEG (ITU T.81 B.2), PNG (ISO 15948), GIF89a, BMP (BITMAPINFOHEADER), WebP (RFC 9649).
"""

MAX_PIXELS = 100_000_000  # a small file can claim to unpack to gigabytes

_MAGIC = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF"}
_GREY_PALETTE = bytes(value for level in range(256) for value in (level, level, level, 0))
# Start-of-frame markers: all of 0xC0..0xCF that are not tables, extensions or conditioning.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset((0x00, 0x01, 0xFF, *range(0xD0, 0xDA)))


def image_format(head):
    """Name of the format that the first 16 bytes of a file announce, or None."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and head[6:10] == bytes(4):  # two letters alone also start texts
        return "BMP"
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def image_size(encoded):
    """(height, width) that an encoded image claims; (0, 0) if it ends before it says so."""
    return _SIZES[image_format(encoded)](encoded)


def fault(encoded):
    """Short reason why the bytes of a file are no usable image, or None if the header is good."""
    if not encoded:
        return "empty file"
    kind = image_format(encoded)
    if kind is None:
        return f"not a JPEG, PNG, BMP, GIF or WebP image (starts with {encoded[:8]!r})"
    if kind == "BMP" and _is_paletted(encoded):
        return "BMP with a palette"  # TensorFlow takes the palette's indices for grey levels
    height, width = image_size(encoded)
    if height * width > MAX_PIXELS:
        return f"image of {width}x{height} pixels, more than {MAX_PIXELS:,}"
    return None


def _is_paletted(encoded):
    palette = 14 + _little(encoded, 14, 4)
    bits = _little(encoded, 28, 2)
    return bits < 8 or (bits == 8 and encoded[palette : palette + 1024] != _GREY_PALETTE)


def _jpeg_size(encoded):
    at = 2
    while 0 <= (at := encoded.find(b"\xff", at)) <= len(encoded) - 9:
        marker = encoded[at + 1]
        if marker in _START_OF_FRAME:
            return _big(encoded, at + 5, 2), _big(encoded, at + 7, 2)
        at += 1 if marker in _WITHOUT_LENGTH else 2 + _big(encoded, at + 2, 2)
    return 0, 0


def _bmp_size(encoded):
    height = int.from_bytes(encoded[22:26], "little", signed=True)  # negative: rows from the top
    return abs(height), _little(encoded, 18, 4)


def _webp_size(encoded):
    if encoded[12:16] == b"VP8X":
        return _little(encoded, 27, 3) + 1, _little(encoded, 24, 3) + 1
    if encoded[12:16] == b"VP8L":
        bits = _little(encoded, 21, 4)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    return _little(encoded, 28, 2) & 0x3FFF, _little(encoded, 26, 2) & 0x3FFF


def _little(encoded, start, length):
    return int.from_bytes(encoded[start : start + length], "little")


def _big(encoded, start, length):
    return int.from_bytes(encoded[start : start + length], "big")


_SIZES = {
    "JPEG": _jpeg_size,
    "PNG": lambda encoded: (_big(encoded, 20, 4), _big(encoded, 16, 4)),
    "GIF": lambda encoded: (_little(encoded, 8, 2), _little(encoded, 6, 2)),
    "BMP": _bmp_size,
    "WebP": _webp_size,
}
