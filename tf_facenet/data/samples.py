"""Where images are when some of them lie in record files: an array of references, 12 bytes each."""

import os
import re
from contextlib import ExitStack

import numpy as np

from tf_facenet.data.recordio import RecordFile

_REFERENCE = re.compile(r"(.+\.rec)@(\d+)", re.DOTALL)
_HELD = -1  # instead of the number of a record file


class Samples:
    """N images: file paths, encoded images in memory and places in record files, in any mixture.

    A sequence like the object arrays of `Faces`: an element is a str path, bytes, or for an image in a record file the
    str "train.rec@4711" with the offset of its record, which may stand wherever the path of an image does. Indexed by
    a slice, a mask or indices it gives `Samples`.

    Args:
        objects: [M] object, the paths and the images in memory, in order.
        files: paths of record files.
        file: [N] int32, number of each image's record file, or -1 for the next one of the objects.
        place: [N] int64, offset of its record, or number of the object.
    """

    def __init__(self, objects, files, file, place):
        self.objects, self.files, self.file, self.place = objects, files, file, place

    @classmethod
    def of_records(cls, path, offsets):
        """The images whose records begin at offsets [N] of a record file."""
        return cls(np.empty(0, object), [path], np.zeros(len(offsets), np.int32), offsets)

    @classmethod
    def of(cls, samples):
        """Samples from a sequence of paths, references and bytes."""
        if isinstance(samples, cls):
            return samples
        found = [isinstance(sample, str) and ".rec@" in sample and _REFERENCE.fullmatch(sample) for sample in samples]
        files = list(dict.fromkeys(match[1] for match in found if match))
        numbers = {path: number for number, path in enumerate(files)}
        held = [sample for sample, match in zip(samples, found, strict=True) if not match]
        objects = np.empty(len(held), object)
        objects[:] = held
        file = np.array([numbers[match[1]] if match else _HELD for match in found], np.int32)
        place = np.array([int(match[2]) if match else 0 for match in found], np.int64)
        return cls(objects, files, file, _numbered(file, place))

    @classmethod
    def join(cls, parts):
        """All images of several sequences; an object array if they have none in record files."""
        if not any(isinstance(part, cls) for part in parts):
            return np.concatenate(parts)
        parts = [cls.of(part) for part in parts]
        files = list(dict.fromkeys(path for part in parts for path in part.files))
        numbers = [np.array([files.index(path) for path in part.files] + [_HELD], np.int32) for part in parts]
        file = np.concatenate([number[part.file] for number, part in zip(numbers, parts, strict=True)])
        place = np.concatenate([part.place for part in parts])
        return cls(np.concatenate([part.objects for part in parts]), files, file, _numbered(file, place))

    def __len__(self):
        return len(self.file)

    def __getitem__(self, which):
        if isinstance(which, (int, np.integer)):
            return self._one(self.file[which], self.place[which])
        file, place = self.file[which], self.place[which]
        return Samples(self.objects[place[file == _HELD]], self.files, file, _numbered(file, place))

    def __iter__(self):
        return map(self._one, self.file.tolist(), self.place.tolist())

    def tolist(self):
        """The elements."""
        return list(self)

    def _one(self, file, place):
        return self.objects[place] if file == _HELD else f"{self.files[file]}@{place}"

    def contents(self, rows):
        """The encoded images of some rows.

        Args:
            rows: [B] indices.

        Returns:
            List of B, each bytes, or a str that says why the image cannot be read.
        """
        opened = {}
        with ExitStack() as stack:
            return [self._content(file, place, opened, stack)
                    for file, place in zip(self.file[rows].tolist(), self.place[rows].tolist(), strict=True)]

    def _content(self, file, place, opened, stack):
        try:
            if file == _HELD:
                return _whole(self.objects[place])
            if file not in opened:
                opened[file] = stack.enter_context(RecordFile(self.files[file]))
            return opened[file].image(place)
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        except ValueError as error:
            return str(error)

    def names(self, rows):
        """What messages call some images: [B] object, each bytes."""
        names = [(row, self[row]) for row in rows]
        return np.array([b"(image %d in memory)" % row if isinstance(name, bytes) else os.fsencode(name)
                         for row, name in names], object)


def _numbered(file, place):
    """`place` with the objects numbered anew, in order."""
    held = file == _HELD
    return np.where(held, np.cumsum(held) - 1, place)


def read(sample):
    """Bytes of one image.

    Args:
        sample: str path, reference or bytes.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is a record file that is damaged there.
    """
    match = not isinstance(sample, bytes) and _REFERENCE.fullmatch(os.fspath(sample))
    if match:
        with RecordFile(match[1]) as file:
            return file.image(int(match[2]))
    return _whole(sample)


def _whole(sample):
    """Bytes of an image that is a file or in memory."""
    if isinstance(sample, bytes):
        return sample
    with open(sample, "rb", buffering=0) as file:  # a buffer would cost as much as the reading
        return file.readall()
