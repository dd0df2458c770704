"""insightface's training sets, `train.rec` with `train.idx` and `property` → `Faces`.

A set may begin with insightface's header record and end with a record for each person, or have images only, as im2rec
writes it. Deliberate differences to insightface: those extra records are told by being empty and never relied upon,
since their 32-bit floats cannot name images beyond 2^24; a missing index is replaced by walking through the file; and
labels need not be 0..C-1.
"""

import logging
import os
import re
import struct
import warnings
from dataclasses import dataclass

import numpy as np

from tf_facenet.data import records_lists
from tf_facenet.data.faces import Faces
from tf_facenet.data.lines import read_lines, unescaped
from tf_facenet.data.recordio import FIRST, FRAME, HEADER, LENGTH_BITS, MAGIC, RecordFile, after
from tf_facenet.data.samples import Samples

SUFFIX, NAME = ".rec", "train.rec"  # of every record file; of insightface's
MAX_LABEL = 1 << 24  # a 32-bit float counts no further

_WORDS = 9  # of 4 bytes, that say all about a record: its frame, its header and the first label of a vector
_BLOCK = 1024  # records whose heads are read together

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Records:
    """All records of a file, in the order of their keys.

    Attributes:
        path: of the file.
        has_index: whether the keys come from an index file; otherwise they are the records' ids or, if two are equal,
            their numbers.
        keys: [R] int64.
        offsets: [R] int64, where they begin.
        flags: [R] int64, lengths of their vectors of labels; 0 = a single label.
        labels: [R] float32, the (first) label.
        sizes: [R] int64, bytes of their images.
    """

    path: str
    has_index: bool
    keys: np.ndarray
    offsets: np.ndarray
    flags: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray

    @property
    def are_images(self):
        """Mask [R]; the others are insightface's header and one record for each person."""
        return (self.flags == 0) | (self.sizes > 0)


def record_file(path):
    """The record file that a path means; None if it means no such.

    That is a file `*.rec`, or of a folder `train.rec` or, if it has no folders of people, the only file `*.rec`.

    Raises:
        OSError: the folder cannot be read.
        ValueError: it has several such files.
    """
    path = os.path.expanduser(os.fspath(path))
    if not os.path.isdir(path):
        return path if path.endswith(SUFFIX) else None
    if os.path.lexists(os.path.join(path, NAME)):
        return os.path.join(path, NAME)
    with os.scandir(path) as entries:
        entries = [entry for entry in entries if not entry.name.startswith(".")]
    found = sorted(entry.name for entry in entries if entry.name.endswith(SUFFIX) and not entry.is_dir())
    if not found or any(entry.is_dir() for entry in entries):
        return None
    if len(found) > 1:
        raise ValueError(f"folder {path!r} has several record files: {', '.join(found)}. Name one of them")
    return os.path.join(path, found[0])


def companion(path, name):
    """Path of a file that belongs to a record file: ".idx" has its name, "names.txt" is beside it."""
    return os.path.splitext(path)[0] + name if name.startswith(".") else os.path.join(os.path.dirname(path), name)


def read_faces(path):
    """The images of a record file, of which only the head of each record is read.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or `faces` refuses it.
    """
    records = read_records(path)
    found = faces(records)
    fault = property_fault(records, found.num_classes)
    if fault:
        logger.warning(fault)
    return found


def faces(records):
    """The images of a record file, by key, of people numbered in the order of their labels.

    People are called by `names.txt` beside the file (line k is label k), or by `train.lst` (`records_lists.people`), or
    else by their label.

    Args:
        records: `Records`.

    Returns:
        `Faces`.

    Raises:
        OSError: the names cannot be read.
        ValueError: no record has an image, or a label is none, or a name is missing.
    """
    images = records.are_images
    labels = _whole_numbers(records)
    if not len(labels):
        raise ValueError(f"{records.path}: none of the {len(images)} records has an image")
    found, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(found) <= found[-1]:
        logger.info("%s: %d different labels up to %d; they are numbered anew", records.path, len(found), found[-1])
    return Faces(Samples.of_records(records.path, records.offsets[images]), labels.astype(np.int64),
                 _names(records.path, dict(zip(found.tolist(), counts.tolist(), strict=True))))


def read_records(path):
    """What a record file holds, by its index or, without one, by walking through it.

    Raises:
        OSError: it cannot be read.
        ValueError: it or its index is damaged.
    """
    with RecordFile(path) as file:
        index = companion(path, ".idx")
        has_index = os.path.lexists(index)
        keys, offsets = read_index(index, file) if has_index else (None, file.walk())
        heads = _heads(file, offsets)
        flags, labels, sizes = _described(file, offsets, heads)
        if keys is None:
            keys = heads[:, 4:6].copy().view("<i8")[:, 0]
            if len(np.unique(keys)) < len(keys):
                keys = np.arange(len(offsets))
            logger.info("%s is missing: the %d records were found by walking through the file", index, len(offsets))
    order = np.argsort(keys, kind="stable")
    return Records(path, has_index, *(column[order] for column in (keys, offsets, flags, labels, sizes)))


def read_index(path, file):
    """Keys [R] and offsets [R] of an index file, by offset.

    Args:
        path: file of lines "key<TAB>offset".
        file: the `RecordFile` that it belongs to.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is something else, a key or an offset occurs twice, or an offset lies outside of the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said of an empty file
            table = np.loadtxt(path, np.int64, comments=None, ndmin=2, encoding="latin-1")
    except ValueError as error:
        raise ValueError(f"{path}: expected lines of a key and an offset; {error}. Remove the file to do without "
                         "it") from error
    if not len(table) or table.shape[1] != 2:
        raise ValueError(f"{path}: expected lines of a key and an offset, found {len(table)} lines of "
                         f"{table.shape[1]} numbers. Remove the file to do without it")
    keys, offsets = table[np.argsort(table[:, 1], kind="stable")].T
    for values, what in ((np.sort(keys), "key"), (offsets, "offset")):
        twice = np.flatnonzero(values[1:] == values[:-1])
        if len(twice):
            raise ValueError(f"{path}: {what} {values[twice[0]]} occurs twice. Remove the file to do without it")
    outside = np.flatnonzero((offsets < 0) | (offsets % 4 != 0) | (offsets + FRAME > file.size))
    if len(outside):
        first = outside[0]
        raise ValueError(f"{path}: key {keys[first]} points to offset {offsets[first]}, where no record of {file.path} "
                         f"({file.size} bytes) can begin. Remove the file to do without it")
    return keys, offsets


def _heads(file, offsets):
    """First words [R, 9] uint32 of the records at ascending offsets [R]; of short records the rest is anything."""
    heads = np.empty((len(offsets), _WORDS), "<u4")
    for start in range(0, len(offsets), _BLOCK):
        # Mapped anew each time: what was touched would stay in memory as long as it is mapped.
        words = np.memmap(file.path, "<u4", "r", shape=file.size // 4)
        places = offsets[start : start + _BLOCK, None] // 4 + np.arange(_WORDS)
        heads[start : start + _BLOCK] = words[np.minimum(places, len(words) - 1)]
    return heads


def _described(file, offsets, heads):
    """(flags, labels, sizes) [R] each, of records whose heads are as they should be."""
    kinds, lengths = heads[:, 1] >> LENGTH_BITS, (heads[:, 1] & (1 << LENGTH_BITS) - 1).astype(np.int64)
    odd = (heads[:, 0] != int.from_bytes(MAGIC, "little")) | (kinds > FIRST) | (offsets + FRAME + lengths > file.size)
    if odd.any():
        file.read(offsets[np.argmax(odd)])  # says what is wrong
    _check_ends(file, offsets, after(offsets, lengths), np.flatnonzero(kinds == FIRST))
    flags = heads[:, 2].astype(np.int64)
    labels = np.where(flags > 0, heads[:, 8], heads[:, 3]).astype("<u4").view("<f4")
    sizes = lengths - HEADER.size - 4 * flags
    for row in np.flatnonzero(kinds == FIRST):  # whose header may be in several parts
        payload = file.read(offsets[row])
        flags[row], labels[row] = HEADER.unpack_from(payload.ljust(HEADER.size, b"\0"))[:2]
        sizes[row] = len(payload) - HEADER.size - 4 * flags[row]
        if flags[row] and sizes[row] >= 0:
            labels[row] = struct.unpack_from("<f", payload, HEADER.size)[0]
    if (sizes < 0).any():
        file.image(offsets[np.argmax(sizes < 0)])  # says that it is too short
    return flags, labels, sizes


def _check_ends(file, offsets, ends, split):
    """Raise ValueError if a record goes beyond the next; `split` are the rows of those in parts."""
    nexts = np.append(offsets[1:], file.size + 3)  # the padding of the last may be missing

    def check(row, end):
        if end > nexts[row]:
            raise ValueError(f"{file.path}, offset {offsets[row]}: the record ends at {end}, beyond the next, which "
                             f"the index places at {nexts[row]}")

    for row in np.flatnonzero(ends > nexts)[:1]:
        check(row, ends[row])
    for row in split:  # one after the other: of many that overlap only the first is walked through
        check(row, file.end(offsets[row]))


def _whole_numbers(records):
    """Labels [N] int64 of the images; ValueError if one is none."""
    labels = records.labels[records.are_images]
    good = (labels >= 0) & (labels < MAX_LABEL)
    good[good] = labels[good] % 1 == 0
    if not good.all():
        first = np.argmin(good)
        raise ValueError(f"{records.path}, offset {records.offsets[records.are_images][first]}: label "
                         f"{labels[first]:.9g}; expected an integer from 0 to {MAX_LABEL - 1:,}")
    return labels.astype(np.int64)


def _names(path, counts):
    """Names of the people whose labels, in order, have so many images each."""
    names, listed = companion(path, "names.txt"), companion(path, ".lst")
    if os.path.isfile(names):
        lines, last = read_lines(names), max(counts)
        if last >= len(lines):
            raise ValueError(f"{names} has {len(lines)} lines, but {path} has the label {last}; expected one line "
                             "for each label from 0 on. Mend or remove it")
        return [unescaped(lines[label]) for label in counts]
    if os.path.isfile(listed):
        found = records_lists.people(listed, counts)
        if found:
            logger.info("%s: people are called as their folders in %s", path, listed)
            return [found[label] for label in counts]
        logger.warning("%s: people are called by their labels, for %s does not fit: expected one folder for each label "
                       "and a line for each image", path, listed)
    return [str(label) for label in counts]


def read_property(path):
    """(classes, height, width) of the file `property` beside a record file; None if there is none.

    Raises:
        OSError: it cannot be read.
        ValueError: it says something else.
    """
    path = companion(path, "property")
    if not os.path.isfile(path):
        return None
    with open(path, encoding="latin-1") as file:
        line = file.readline(100).strip()
    if not re.fullmatch(r"\d+,\d+,\d+", line):
        raise ValueError(f"{path}: expected classes,height,width such as 85742,112,112, found {line!r}. Mend or "
                         "remove it")
    return tuple(map(int, line.split(",")))


def property_fault(records, num_classes):
    """What `property` says wrongly about the number of classes, or None."""
    said = read_property(records.path)
    if said is None or said[0] == num_classes:
        return None
    return f"{companion(records.path, 'property')} says {said[0]} classes, found {num_classes}"
