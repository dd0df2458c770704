"""Pairs of face images to verify: facenet's pairs.txt, or pairs of drawn faces.

The format is LFW's (http://vis-www.cs.umass.edu/lfw/README.txt) as davidsandberg/facenet reads it
(src/lfw.py `read_pairs` and `get_paths`; MIT): after a first line, `name i j` is a pair of one
person's images and `name1 i name2 j` one of two people. Deliberate differences:

- Every pair keeps the fold that the file gives it, also when other pairs' images are missing;
  in facenet the folds of a shortened list moved.
- The first line is read: `10 300` are ten folds of 300 same and 300 different pairs, and View 1's
  `500` (500 same pairs, then 500 different) is dealt evenly over the folds.
- Images may be .jpeg, .bmp and .webp besides .jpg and .png; a pair with a missing image is skipped
  and reported (facenet meant to, but stopped with an error).
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tf_facenet.files import find

SUFFIXES = (".jpg", ".png", ".jpeg", ".bmp", ".webp")  # the first that exists is taken


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images; rows 2i and 2i + 1 of `images` are pair i.

    Attributes:
        images: [2P] object, each a str path or the bytes of an encoded image.
        same: [P] bool, whether the pair shows one person.
        folds: [P] int, the fold of each pair; a fold may be missing with its images.
        missing: images that pairs named but the folder lacks, as `name/name_0001`, once each.
        num_skipped: pairs that were left out because of them.
    """

    images: np.ndarray
    same: np.ndarray
    folds: np.ndarray
    missing: list[str]
    num_skipped: int = 0

    def __len__(self):
        return len(self.same)


def load_pairs(lfw_dir, lfw_pairs, num_folds=10):
    """Pairs of a folder of images and a pairs file, or of drawn faces.

    Args:
        lfw_dir: folder of people, or "drawn" or "drawn:people=100,seed=1" (`drawn.parse`).
        lfw_pairs: pairs file, looked for as given, then in `lfw_dir`, then beside it; drawn faces
            need none.
        num_folds: see `read_pairs`.

    Raises:
        OSError: the folder or the file cannot be read.
        ValueError: the file is malformed, names no image of the folder, or the drawn pairs'
            description is wrong.
    """
    if str(lfw_dir).partition(":")[0] == "drawn":
        from tf_facenet.data import drawn

        return drawn.draw_pairs(**drawn.parse(lfw_dir), num_folds=num_folds)
    folder = Path(lfw_dir).expanduser()
    if folder.is_dir():
        lfw_pairs = find(Path(lfw_pairs).expanduser(), folder, folder.absolute().parent)
    return read_pairs(lfw_pairs, folder, num_folds)


def read_pairs(path, images_dir, num_folds=10):
    """Pairs of a pairs file whose images are `<images_dir>/<name>/<name>_0001.jpg`.

    Args:
        path: pairs file.
        images_dir: folder with a folder for each person.
        num_folds: folds to form where the file does not say. Where it does, at most its own
            number is used, and fewer join its neighbouring folds whole, so that the people of
            different folds stay apart.

    Returns:
        Pairs.

    Raises:
        OSError: the file or the folder cannot be read.
        ValueError: a line is malformed, or no pair has both its images.
    """
    if not os.path.isdir(images_dir):
        raise OSError(
            f"no folder {str(images_dir)!r}; the pairs of {str(path)!r} need the folder that holds "
            f"<name>/<name>_0001.jpg. Pass the folder of aligned LFW images."
        )
    if num_folds < 2:
        raise ValueError(f"num_folds must be at least 2, got {num_folds}; LFW's protocol has 10.")
    header, lines = _read_lines(path)
    if not lines:
        raise ValueError(
            f"pairs file {str(path)!r} lists no pair after its first line. Pass a file such as "
            f"LFW's pairs.txt."
        )
    named = [_parse(path, number, line) for number, line in lines]
    same = np.array([name == other for name, _, other, _ in named], bool)
    folds = _folds(header, same, num_folds)

    images = _Images(images_dir)
    rows = [(images.find(*pair[:2]), images.find(*pair[2:])) for pair in named]
    found = np.array([None not in row for row in rows], bool)
    if not found.any():
        raise ValueError(
            f"none of the {len(rows)} pairs of {str(path)!r} has both images in "
            f"{str(images_dir)!r} (missing images: {', '.join(images.missing[:3])} ...). Pass the "
            f"pairs file that belongs to this folder."
        )
    paths = np.array(rows, object)[found].ravel()
    return Pairs(paths, same[found], folds[found], images.missing, int(np.sum(~found)))


class _Images:
    """Finds images by name and number, listing each person's folder once."""

    def __init__(self, images_dir):
        self.images_dir = os.fspath(images_dir)
        self.missing = []
        self._paths = {}  # "name/name_0001" → path or None
        self._files = {}  # name → {file name with its suffix in lower case: file name}

    def find(self, name, number):
        """Path of the image, or None, which is noted in `missing`."""
        image = f"{name}/{name}_{number:04d}"
        if image not in self._paths:
            self._paths[image] = self._search(name, f"{name}_{number:04d}")
            if self._paths[image] is None:
                self.missing.append(image)
        return self._paths[image]

    def _search(self, name, stem):
        folder = os.path.join(self.images_dir, name)
        if name not in self._files:
            files = os.listdir(folder) if os.path.isdir(folder) else []
            parts = map(os.path.splitext, files)
            self._files[name] = {root + suffix.lower(): root + suffix for root, suffix in parts}
        files = self._files[name]
        found = (files[stem + suffix] for suffix in SUFFIXES if stem + suffix in files)
        return next((os.path.join(folder, file) for file in found), None)


def _read_lines(path):
    """First line, and (number, text) of the other lines that are not blank."""
    try:
        # Names in another encoding survive as the bytes that the file system knows them by.
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            header, *lines = file.read().splitlines() or [""]
    except OSError as error:
        raise OSError(
            f"pairs file {str(path)!r} cannot be read ({error.strerror}). Pass a file such as "
            f"LFW's pairs.txt."
        ) from error
    return header, [(n, line) for n, line in enumerate(lines, start=2) if line.strip()]


def _parse(path, number, line):
    """(name, i, other name, j) of one line."""
    fields = line.split()
    if len(fields) == 3:
        fields.insert(2, fields[0])
    if len(fields) != 4 or not (fields[1].isdecimal() and fields[3].isdecimal()):
        raise ValueError(
            f"pairs file {str(path)!r}, line {number}: expected 'name i j' or 'name1 i name2 j', "
            f"got {line.strip()!r}. Mend or remove the line."
        )
    return fields[0], int(fields[1]), fields[2], int(fields[3])


def _folds(header, same, num_folds):
    """Fold [P] of each listed pair, by the file's first line."""
    pair = np.arange(len(same))
    counts = [int(field) for field in header.split() if field.isdecimal()]
    if len(counts) == 2 and 2 * counts[0] * counts[1] == len(same):
        own_folds, size = counts[0], 2 * counts[1]
        return pair // size * min(num_folds, own_folds) // own_folds
    if len(counts) == 1:
        folds = np.empty(len(same), int)
        for kind in (same, ~same):
            folds[kind] = np.sort(np.arange(np.count_nonzero(kind)) % num_folds)
        return folds
    return np.sort(pair % num_folds)  # as facenet: contiguous, the larger folds first
