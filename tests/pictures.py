"""Small pictures and their files in every format, made with Pillow and by hand."""

import io
import struct

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


def with_exif(jpeg, data):
    """A JPEG with EXIF data as its first segment."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data + jpeg[2:]


def write(root, files):
    """Write {relative path: bytes} below a folder; returns the folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root
