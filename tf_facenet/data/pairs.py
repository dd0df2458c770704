"""Pairs of face images to verify: facenet's pairs.txt, or pairs of drawn faces.

The format is LFW's (http://vis-www.cs.umass.edu/lfw/README.txt) as davidsandberg/facenet reads it
(src/lfw.py `read_pairs` and `get_paths`; MIT): after a first line, `name i j` is a pair of one
person's images and `name1 i name2 j` one of two people. Other layouts are in `pairs_layouts`.
Deliberate differences:

- Every pair keeps the fold that the file gives it, also when other pairs' images are missing;
  in facenet the folds of a shortened list moved.
- The first line is read: `10 300` are ten folds of 300 same and 300 different pairs, and View 1's
  `500` (500 same pairs, then 500 different) is dealt evenly over the folds. Any other first line
  must name columns or be a pair, which is not lost.
- Images may be .jpeg, .bmp and .webp besides .jpg and .png; a pair with a missing image is skipped
  and reported (facenet meant to, but stopped with an error).
"""

import dataclasses
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tf_facenet.data import is_drawn, pairs_layouts, single_paths
from tf_facenet.data.pairs_layouts import IMAGE_SUFFIXES
from tf_facenet.data.people import composed
from tf_facenet.files import find

SET = ".bin"
_SHOWN = 10  # missing images that are named
RESERVED = "val"  # val_accuracy … in the history of a run are those of the held-out images

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images; rows 2i and 2i + 1 of `images` are pair i.

    Attributes:
        images: [2P] object, each a str path or the bytes of an encoded image.
        same: [P] bool, whether the pair shows one person.
        folds: [P] int, the fold of each pair; a fold may be missing with its images.
        missing: images that pairs named but the folder lacks, as `name/name_0001`, once each.
        num_skipped: pairs that were left out because of them.
        name: what to call the set, such as "lfw".
        drawn: whether the faces were drawn by this package, so that numbers of them say nothing of photographs.
    """

    images: np.ndarray
    same: np.ndarray
    folds: np.ndarray
    missing: list[str]
    num_skipped: int = 0
    name: str = "lfw"
    drawn: bool = False

    def __len__(self):
        return len(self.same)

    def __str__(self):
        return f"{len(self):,} pairs" + " of drawn faces" * self.drawn

    @property
    def title(self):
        """What facenet's line says that the images are."""
        return "DRAWN" if self.drawn else self.name.upper()

    def left_out(self):
        """What is missing, as a list of no or one line."""
        more = f" and {len(self.missing) - _SHOWN} more" * (len(self.missing) > _SHOWN)
        return [f"Skipped {self.num_skipped} of {len(self) + self.num_skipped} image pairs, for these images are "
                f"missing: {' '.join(self.missing[:_SHOWN])}{more}"] * bool(self.missing)

    def select(self, which):
        """Keep some pairs: a mask [P] or indices, an array."""
        return dataclasses.replace(self, images=self.images.reshape(-1, 2)[which].ravel(), same=self.same[which],
                                   folds=self.folds[which])


def load_pairs(lfw_dir, lfw_pairs, num_folds=10):
    """Pairs of a folder of images and a pairs file, of a verification set, or of drawn faces.

    Args:
        lfw_dir: folder of people, or a set such as lfw.bin (`bins`), or "drawn" or
            "drawn:people=100,seed=1" (`drawn.parse`).
        lfw_pairs: pairs file, looked for as given, then in `lfw_dir`, then beside it; only a folder
            needs one.
        num_folds: see `read_pairs`.

    Raises:
        OSError: the folder or the file cannot be read.
        ValueError: the file is malformed, names no image of the folder, or the drawn pairs'
            description is wrong; or all pairs are of one kind, with which nothing can be verified.
    """
    pairs = _load(lfw_dir, lfw_pairs, num_folds)
    if pairs.same.all() or not pairs.same.any():
        kind, other = ("same", "different") if pairs.same.all() else ("different", "same")
        skipped = f" whose images are there, {pairs.num_skipped} being without," if pairs.missing else ""
        raise ValueError(f"all {len(pairs)} pairs of {str(lfw_dir)!r}{skipped} are {kind} pairs; verifying takes both. "
                         f"Add {other} pairs to the list; CSV files such as Kaggle's may be joined to one, headers and "
                         "all")
    return pairs


def _load(lfw_dir, lfw_pairs, num_folds):
    if is_drawn(lfw_dir):
        from tf_facenet.data import drawn

        return drawn.draw_pairs(**drawn.parse(lfw_dir), num_folds=num_folds)
    folder = Path(lfw_dir).expanduser()
    if folder.suffix == SET and not folder.is_dir():
        from tf_facenet.data import bins  # which itself makes Pairs

        return bins.read_bin(folder, num_folds)
    if folder.is_dir():
        lfw_pairs = find(Path(lfw_pairs).expanduser(), folder, folder.absolute().parent)
    return read_pairs(lfw_pairs, folder, num_folds)


def load_sets(lfw_dir, lfw_pairs, val_targets, data_dir, num_folds=10):
    """All sets to verify: LFW, then insightface's val_targets.

    Args:
        lfw_dir: see `load_pairs`; empty = without.
        lfw_pairs: see `load_pairs`.
        val_targets: paths of .bin files, or their names without the ending, separated by commas.
        data_dir: one or several paths; they are also looked for in and beside each.
        num_folds: see `load_pairs`.

    Returns:
        List of `Pairs` with different names.

    Raises:
        OSError: a set is nowhere or cannot be read.
        ValueError: a set is damaged, or its name is taken.
    """
    folders = [Path(part).expanduser() for part in single_paths(data_dir)]
    places = [place for folder in folders for place in (folder, folder.absolute().parent)]
    sets = [load_pairs(lfw_dir, lfw_pairs, num_folds)] if lfw_dir else []
    for target in filter(None, map(str.strip, val_targets.split(","))):
        file = Path(target if target.endswith(SET) else target + SET).expanduser()
        sets.append(load_pairs(find(file, *places), lfw_pairs, num_folds))
    names = [pairs.name for pairs in sets]
    for name in names:
        if "," in name:
            raise ValueError(f"the verification set {name!r} has a comma in its name, which separates the columns of "
                             "history.csv. Rename its file")
        if name == RESERVED or names.count(name) > 1:
            raise ValueError(f"verification sets {', '.join(names)}: the name {name!r} is taken, so that results could "
                             "not be told apart. Leave one out of --val_targets, or rename its file")
    return sets


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
    listed = pairs_layouts.parse(_text(path), path)
    logger.info("%s: %s", path, listed)
    same = np.array([pair[2] for pair in listed.pairs], bool)
    if fault := _header_fault(listed.counts, same):
        logger.warning("%s: %s", path, fault)
    folds = _folds(listed.counts, same, num_folds)

    images = Images(images_dir)
    rows = [(images.find(first), images.find(second)) for first, second, _ in listed.pairs]
    found = np.array([None not in row for row in rows], bool)
    if not found.any():
        raise ValueError(
            f"none of the {len(rows)} pairs of {str(path)!r} has both images in "
            f"{str(images_dir)!r} (missing images: {', '.join(images.missing[:3])} ...). Pass the "
            f"pairs file that belongs to this folder."
        )
    paths = np.array(rows, object)[found].ravel()
    return Pairs(paths, same[found], folds[found], images.missing, int(np.sum(~found)))


def two_of(index):
    """Numbers all pairs: the pair low < high [k, 2] whose number is high (high - 1) / 2 + low."""
    high = ((1 + np.sqrt(1 + 8 * index)) // 2).astype(int)
    return np.stack([index - high * (high - 1) // 2, high], axis=1)


class Images:
    """Finds images by name, listing each person's folder once."""

    def __init__(self, images_dir):
        self.images_dir = os.fspath(images_dir)
        self.missing = []
        self._paths = {}  # "name/name_0001" → path or None
        self._files = {}  # name → its folder, {file name, composed, also with its suffix in lower case: file name}
        self._folders = None  # composed name → name

    def find(self, image):
        """Path of `name/name_0001`, or of `folder/file.jpg`; or None, which is noted in `missing`.

        Where there is no such file it may have another suffix, for aligned faces are PNG files whatever the list says;
        and a backslash is a separator.
        """
        if image not in self._paths:
            found = (self._search(*os.path.split(name)) for name in _spellings(image))
            self._paths[image] = next(filter(None, found), None)
            if self._paths[image] is None:
                self.missing.append(image)
        return self._paths[image]

    def _search(self, name, stem):
        stem = composed(stem)
        if name not in self._files:
            folder = self._folder(name)
            files = os.listdir(folder) if os.path.isdir(folder) else []
            parts = map(os.path.splitext, files)
            lower = {composed(root + suffix.lower()): root + suffix for root, suffix in parts}
            self._files[name] = folder, lower | dict(zip(map(composed, files), files, strict=True))
        folder, files = self._files[name]
        found = (files[stem + suffix] for suffix in ("", *IMAGE_SUFFIXES) if stem + suffix in files)
        return next((os.path.join(folder, file) for file in found), None)

    def _folder(self, name):
        """The folder of a person, also if its name is composed otherwise than in the list."""
        folder = os.path.join(self.images_dir, name)
        if name.isascii() or os.path.isdir(folder):
            return folder
        if self._folders is None:
            self._folders = {composed(other): other for other in os.listdir(self.images_dir)}
        return os.path.join(self.images_dir, self._folders.get(composed(name), name))


def _spellings(image):
    """A listed image as it is, without blanks around it, and with slashes; then each without its suffix."""
    names = dict.fromkeys((image, image.strip(), image.strip().replace("\\", "/")))
    stems = [os.path.splitext(name) for name in names]
    return [*names, *(stem for stem, suffix in stems if suffix.lower() in IMAGE_SUFFIXES)]


def _text(path):
    try:
        # Names in another encoding survive as the bytes that the file system knows them by.
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        raise OSError(
            f"pairs file {str(path)!r} cannot be read ({error.strerror}). Pass a file such as "
            f"LFW's pairs.txt."
        ) from error


def _header_fault(counts, same):
    """What a first line says wrongly about the pairs [P], or None."""
    if not counts or counts == [len(same)]:  # some lists begin with the number of all pairs
        return None
    folds, number = ([1] + counts)[-2:]
    found = int(same.sum()), int((~same).sum())
    if found != (folds * number,) * 2:
        return (f"the first line says {folds * number:,} same and as many different pairs, but the file has "
                f"{found[0]:,} same and {found[1]:,} different ones")
    if len(counts) == 2 and (same.reshape(folds, -1).sum(axis=1) != number).any():
        return f"the first line says {folds} folds of {number:,} same pairs, but the pairs are in another order"
    return None


def _folds(counts, same, num_folds):
    """Fold [P] of each listed pair, by the integers of the file's first line."""
    pair = np.arange(len(same))
    if len(counts) == 2 and 2 * counts[0] * counts[1] == len(same):
        own_folds, size = counts[0], 2 * counts[1]
        return pair // size * min(num_folds, own_folds) // own_folds
    folds = np.sort(pair % num_folds)  # as facenet: contiguous, the larger folds first
    kinds = [kind for kind in (same, ~same) if np.count_nonzero(kind) >= num_folds]
    if len(counts) == 1 or (len(kinds) == 2 and any(len(np.unique(folds[kind])) < num_folds for kind in kinds)):
        for kind in (same, ~same):  # one after the other, as in View 1; else folds would have one kind only
            folds[kind] = np.sort(np.arange(np.count_nonzero(kind)) % num_folds)
    return folds
