"""MXNet's RecordIO, the format of `train.rec`: records of bytes, read by offset and written one after the other.

The layout is that of dmlc-core's recordio.h and mxnet.recordio (Apache 2.0); docs/formats.md has it byte by byte.
Deliberate difference: what the format does not allow is refused with file and offset instead of being skipped.
"""

import os
import struct
from array import array

import numpy as np

MAGIC = struct.pack("<I", 0xCED7230A)
FRAME = 8  # bytes before a part: magic, then kind and length in one number
LENGTH_BITS = 29
WHOLE, FIRST, MIDDLE, LAST = range(4)  # kinds of parts; records in several are rare
# What a payload begins with: flag = length of the vector of float32 labels that follows, label, id, id2.
HEADER = struct.Struct("<IfQQ")


class RecordFile:
    """A record file that is open for reading; a context.

    Raises:
        OSError: it cannot be opened or read.
        ValueError: it is empty or, from any method, damaged; the message names file and offset.
    """

    def __init__(self, path):
        self.path = path
        self._file = open(path, "rb")  # noqa: SIM115  (closed by the context)
        self.size = os.fstat(self._file.fileno()).st_size
        if self.size < FRAME:
            self._file.close()
            raise ValueError(f"{path}, offset 0: a file of {self.size} bytes has no records")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def read(self, offset):
        """Payload of the record at an offset: header, labels and image."""
        parts = [self._file.read(length) for _, length in self._parts(offset)]
        # The writer splits a payload where the magic is in it at a multiple of 4, and leaves it out.
        return parts[0] if len(parts) == 1 else MAGIC.join(parts)

    def image(self, offset):
        """Encoded image of the record at an offset."""
        payload = self.read(offset)
        start = HEADER.size + 4 * int.from_bytes(payload[:4], "little")
        if start > len(payload):
            raise ValueError(f"{self.path}, offset {offset}: a record of {len(payload)} bytes is too short for its "
                             "header and labels")
        return payload[start:]

    def end(self, offset):
        """Offset behind the record at an offset."""
        for at, length in self._parts(offset):
            offset = after(at, length)
        return offset

    def walk(self):
        """Offsets [R] of all records, from one to the next."""
        offsets, offset = array("q"), 0
        while offset < self.size:
            offsets.append(offset)
            offset = self.end(offset)
        return np.array(offsets, np.int64)

    def _parts(self, offset):
        """(offset, length) of each part of a record; the file is then at its payload."""
        expected = (WHOLE, FIRST)
        while expected:
            kind, length = self._frame(offset, expected)
            yield offset, length
            offset = after(offset, length)
            expected = () if kind in (WHOLE, LAST) else (MIDDLE, LAST)

    def _frame(self, offset, expected):
        self._file.seek(offset)
        frame = self._file.read(FRAME)
        if len(frame) < FRAME or frame[:4] != MAGIC:
            found = frame[:4].hex(" ") if len(frame) == FRAME else "the end of the file"
            raise ValueError(f"{self.path}, offset {offset}: no record begins here; expected the bytes "
                             f"{MAGIC.hex(' ')}, found {found}")
        number = int.from_bytes(frame[4:], "little")
        kind, length = number >> LENGTH_BITS, number & (1 << LENGTH_BITS) - 1
        if kind not in expected:
            raise ValueError(f"{self.path}, offset {offset}: a part of the kind {kind}, expected {expected[0]} or "
                             f"{expected[1]}")
        if offset + FRAME + length > self.size:
            raise ValueError(f"{self.path}, offset {offset}: a record of {length} bytes goes beyond the end of the "
                             f"file ({self.size} bytes). Is the file complete?")
        return kind, length


class RecordWriter:
    """Writes records and their index one after the other; a context.

    Args:
        path: record file to write.
        index: index file to write.

    Raises:
        OSError: they cannot be written.
    """

    def __init__(self, path, index):
        self._file = open(path, "wb")  # noqa: SIM115  (closed by the context)
        self._index = open(index, "w", encoding="ascii", newline="\n")  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._index.close()

    def write(self, key, labels, image=b"", id2=0):
        """Write one record.

        Args:
            key: integer.
            labels: a number, or several, which are stored as a vector.
            image: bytes.
            id2: integer.
        """
        self._index.write(f"{key}\t{self._file.tell()}\n")
        if isinstance(labels, tuple):
            header = HEADER.pack(len(labels), 0, key, id2) + struct.pack(f"<{len(labels)}f", *labels)
        else:
            header = HEADER.pack(0, labels, key, id2)
        parts = split(header + image)
        for number, part in enumerate(parts):
            kind = WHOLE if len(parts) == 1 else FIRST if number == 0 else LAST if number == len(parts) - 1 else MIDDLE
            if len(part) >> LENGTH_BITS:
                raise ValueError(f"an image of {len(image):,} bytes does not fit into a record; expected less than "
                                 f"{1 << LENGTH_BITS:,}")
            self._file.write(MAGIC + struct.pack("<I", kind << LENGTH_BITS | len(part)) + part + bytes(-len(part) % 4))


def split(payload):
    """Parts of a payload, which the magic stood between at multiples of 4."""
    parts, start, found = [], 0, payload.find(MAGIC)
    while found >= 0:
        if found % 4 == 0:
            parts.append(payload[start:found])
            start = found + 4
        found = payload.find(MAGIC, found + 4 if found % 4 == 0 else found + 1)
    return [*parts, payload[start:]]


def after(offset, length):
    """Offset behind a part, which is padded to a multiple of 4."""
    return offset + FRAME + (length + 3) // 4 * 4
