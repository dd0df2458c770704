"""Small pictures and their files in every format, made with Pillow and by hand."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def picture(height=30, width=40, seed=0):
    """Smooth uint8 [height, width, 3] in which every row and column differs."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR))


def encode(image, kind="PNG", mode="RGB", **options):
    """Bytes of a file in Pillow's format `kind`, after a conversion to Pillow's `mode`."""
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, kind, **options)
    return file.getvalue()


def pillow(encoded):
    """What Pillow decodes: uint8 [h, w, 3]."""
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def exif(orientation, order="<", tags=(), first=8):
    """EXIF data with an orientation behind other tags; order "<" (Intel) or ">" (Motorola)."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entries = [struct.pack(order + "HHII", tag, 4, 1, 0xFFFF) for tag in tags]
    entries.append(struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0))
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries)
    return b"Exif\0\0" + mark + struct.pack(order + "I", first) + bytes(first - 8) + directory


def segment(marker, data):
    """A segment of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def with_segments(jpeg, *segments, before=None):
    """A JPEG with more segments: at its start, or before its first segment with the marker `before`."""
    at = jpeg.index(bytes((0xFF, before))) if before else 2
    return jpeg[:at] + b"".join(segments) + jpeg[at:]


def with_exif(jpeg, data):
    """A JPEG with EXIF data as its first segment."""
    return with_segments(jpeg, segment(0xE1, data))


def png_chunk(kind, data):
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunks(png, *chunks, before=b"IDAT"):
    """A PNG with more chunks before its first one of a kind."""
    at = png.index(before) - 4
    return png[:at] + b"".join(chunks) + png[at:]


def webp_chunk(kind, data):
    """A chunk of a WebP."""
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def with_webp_chunks(webp, *chunks, flags=0x08):
    """A WebP of 40x30 pixels in the extended form, its image followed by more chunks."""
    extended = webp_chunk(b"VP8X", struct.pack("<II", flags, 40 - 1)[:7] + struct.pack("<I", 30 - 1)[:3])
    content = b"WEBP" + extended + webp[12:] + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def exif_in_odd_places(image, orientation=6, order="<"):
    """{what is odd: file of an image of 40x30 pixels}; each says the orientation where the formats allow it."""
    said, other = exif(orientation, order), exif(0, order)
    jpeg, png, webp = encode(image, "JPEG"), encode(image), encode(image, "WEBP", lossless=True)
    app1, tiff = segment(0xE1, said), said[6:]
    profile, xmp = b"ICC_PROFILE\0\1\1" + bytes(5000), b"http://ns.adobe.com/xap/1.0/\0" + b" " * 3000
    return {
        "JPEG, a comment before": with_segments(jpeg, segment(0xFE, b"said by " * 60), app1),
        "JPEG, a colour profile before": with_segments(jpeg, segment(0xE2, profile), app1),
        "JPEG, Photoshop's data before": with_segments(jpeg, segment(0xED, b"Photoshop 3.0\0" + bytes(900)), app1),
        "JPEG, XMP before": with_segments(jpeg, segment(0xE1, xmp), app1),
        "JPEG, the longest segments before": with_segments(jpeg, *[segment(0xEC, bytes(65533))] * 3, app1),
        "JPEG, bytes that fill": with_segments(jpeg, b"\xff" * 5, app1, b"\xff" * 300),
        "JPEG, just before the scan": with_segments(jpeg, app1, before=0xDA),
        "JPEG, another EXIF without orientation before": with_segments(jpeg, segment(0xE1, other), app1),
        "JPEG, another EXIF with another behind": with_segments(jpeg, app1, segment(0xE1, exif(3, order))),
        "JPEG, many tags": with_exif(jpeg, exif(orientation, order, tags=range(0x200, 0x200 + 90))),
        "JPEG, progressive": with_exif(encode(image, "JPEG", progressive=True), said),
        "PNG, text before": with_chunks(png, png_chunk(b"tEXt", b"Comment\0" + b"x" * 5000), png_chunk(b"eXIf", tiff)),
        "PNG, behind the pixels": with_chunks(png, png_chunk(b"eXIf", tiff), before=b"IEND"),
        "PNG, as in a JPEG": with_chunks(png, png_chunk(b"eXIf", said)),
        "WebP": with_webp_chunks(webp, webp_chunk(b"EXIF", tiff)),
        "WebP, as in a JPEG": with_webp_chunks(webp, webp_chunk(b"EXIF", said)),
        "WebP, XMP before and behind": with_webp_chunks(webp, webp_chunk(b"XMP ", xmp), webp_chunk(b"EXIF", tiff),
                                                        webp_chunk(b"XMP ", xmp * 3), flags=0x0C),
    }


def exif_in_wrong_places(image):
    """{where: file of an image of 40x30 pixels} with EXIF data that are none of the image's."""
    jpeg, png, webp = encode(image, "JPEG"), encode(image), encode(image, "WEBP", lossless=True)
    app1, tiff = segment(0xE1, exif(6)), exif(6)[6:]
    return {
        "JPEG, inside a comment": with_segments(jpeg, segment(0xFE, app1)),
        "JPEG, inside a colour profile": with_segments(jpeg, segment(0xE2, b"ICC_PROFILE\0\1\1" + app1)),
        "JPEG, behind the end": jpeg + app1,
        "JPEG, in another segment": with_segments(jpeg, segment(0xE3, exif(6))),
        "JPEG, of nothing but a name": with_segments(jpeg, segment(0xE1, b"Exif\0\0")),
        "JPEG, beyond the file": with_exif(jpeg, exif(6)[:10] + b"\xff" * 20),
        "JPEG, cut": with_exif(jpeg, exif(6)[:14]),
        "PNG, inside a text": with_chunks(png, png_chunk(b"tEXt", b"Comment\0" + png_chunk(b"eXIf", tiff))),
        "PNG, behind the end": png + png_chunk(b"eXIf", tiff),
        "WebP, inside another chunk": with_webp_chunks(webp, webp_chunk(b"XMP ", webp_chunk(b"EXIF", tiff))),
        "WebP, behind the end": with_webp_chunks(webp) + webp_chunk(b"EXIF", tiff),
    }


def write(root, files):
    """Write {relative path: bytes} below a folder; returns the folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root
