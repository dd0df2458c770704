"""Pairs of one's own faces to verify a network on, in the form of LFW's pairs.txt.

The protocol is LFW's View 2 (http://vis-www.cs.umass.edu/lfw/README.txt): folds that share no
person, each with as many pairs of one person as of two. Deliberate differences: people with many
images do not get more pairs than others while these have some left, and files may have any name.
"""

import os
import re

import numpy as np

from tf_facenet.data.pairs import Images, two_of
from tf_facenet.data.people import one_line
from tf_facenet.files import atomic_write

_LFW_NAME = re.compile(r"([^\s/]+)/\1_(\d+)\.[^./]+")


def make_pairs(faces, num_folds=10, num_pairs=300, seed=0):
    """Choose pairs at random; no person is in two folds, and no pair comes twice.

    Args:
        faces: `Faces`. Who has one image comes in different pairs only.
        num_folds: number of folds, F.
        num_pairs: number P of pairs of each kind in each fold.
        seed: seed of the choice.

    Returns:
        int [F, 2, P, 2], rows of the faces: for each fold its same pairs, then its different ones.

    Raises:
        ValueError: a number is too small, or there are too few people or images; the message says
            what they suffice for.
    """
    for name, value, least in (("folds", num_folds, 2), ("pairs", num_pairs, 1)):
        if value < least:
            raise ValueError(f"--{name} is {value}; expected at least {least}")
    counts = np.bincount(faces.labels, minlength=faces.num_classes)
    if _most_pairs(counts, num_folds) < num_pairs:
        raise ValueError(_too_few(counts, num_folds, num_pairs))
    rng = np.random.default_rng(seed)
    folds = np.empty(len(counts), int)
    order = rng.permutation(len(counts))
    folds[order[np.argsort(-counts[order], kind="stable")]] = _deal(len(counts), num_folds)
    ranks = faces.random_ranks(seed)
    order = np.lexsort((ranks, faces.labels))  # a person's images together, in random order
    made = []
    for fold in range(num_folds):
        rows = order[folds[faces.labels[order]] == fold]
        kinds = (_same_pairs, _different_pairs)
        made.append([_sorted(rows[pairs(faces.labels[rows], num_pairs, rng)]) for pairs in kinds])
    return np.array(made)


def write_pairs(path, faces, rows, folder):
    """Write a file that `pairs.read_pairs` reads.

    Args:
        path: file to write.
        faces: `Faces` whose samples are files in `folder`.
        rows: int [F, 2, P, 2], as `make_pairs` gives them.
        folder: the folder of people.

    Returns:
        True if the file has LFW's form, which facenet reads too; False if images are named by
        their files, because some are not called `<name>/<name>_0001.jpg`.

    Raises:
        OSError: the file cannot be written.
        ValueError: the name of an image has a tab or a line break.
    """
    folder = os.path.expanduser(folder)
    names = {row: one_line(os.path.relpath(faces.samples[row], folder).replace(os.sep, "/"))
             for row in np.unique(rows).tolist()}
    numbered = _numbered(names, faces, folder)
    line = _by_file if numbered is None else _by_number
    names = names if numbered is None else numbered
    lines = [line(names[left], names[right], kind == 0)
             for fold in rows.tolist() for kind, pairs in enumerate(fold) for left, right in pairs]
    text = "\n".join([f"{rows.shape[0]}\t{rows.shape[2]}", *lines, ""])
    with atomic_write(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
    return numbered is not None


def summary(path, faces, rows):
    """One line about the pairs that `write_pairs` wrote."""
    images = np.unique(rows)
    return (f"{path}: {rows.shape[0]} folds of {rows.shape[2]} same and {rows.shape[2]} different pairs, with "
            f"{len(images)} images of {len(np.unique(faces.labels[images]))} people")


def _deal(people, num_folds):
    """Fold [people] of each of the people, who come in order of their images: dealt like cards, to and fro."""
    place = np.arange(people) % (2 * num_folds)
    return np.minimum(place, 2 * num_folds - 1 - place)


def _most_pairs(counts, num_folds):
    """The largest number of pairs of each kind that every fold can have."""
    counts, folds = np.sort(counts)[::-1], _deal(len(counts), num_folds)
    images = np.bincount(folds, counts, num_folds)
    squares = np.bincount(folds, counts**2, num_folds)
    return int(min((squares - images).min(), (images**2 - squares).min()) // 2)


def _too_few(counts, num_folds, num_pairs):
    largest = _most_pairs(counts, num_folds)
    fewer = next((n for n in range(num_folds - 1, 1, -1) if _most_pairs(counts, n) >= num_pairs), None)
    ways = [f"--folds {num_folds} --pairs {largest}"] * (largest > 0)
    ways += [f"--folds {fewer} --pairs {num_pairs}"] * (fewer is not None)
    if not ways and (least := _most_pairs(counts, 2)):
        ways = [f"--folds 2 --pairs {least}"]
    remedy = f"At most {' or '.join(ways)} is possible" if ways else (
        "A fold needs two people, one of them with two images")
    return (f"{len(counts)} people with {counts.sum()} images, {np.sum(counts > 1)} of them with two or more, are too "
            f"few for {num_folds} folds of {num_pairs} same and {num_pairs} different pairs. {remedy}")


def _same_pairs(labels, number, rng):
    """Places [number, 2] in sorted labels; everyone gives as many pairs as the others, or all."""
    firsts, counts = np.unique(labels, return_index=True, return_counts=True)[1:]
    limits = counts * (counts - 1) // 2
    given = np.zeros_like(limits)
    while (missing := number - given.sum()) > 0:
        given[rng.permutation(np.flatnonzero(given < limits))[:missing]] += 1
    return np.concatenate([firsts[p] + two_of(rng.choice(limits[p], given[p], replace=False))
                           for p in np.flatnonzero(given)])


def _different_pairs(labels, number, rng):
    """Places [number, 2] in sorted labels; of everyone only the first few images, if these suffice."""
    ranks = np.arange(len(labels)) - np.searchsorted(labels, labels)
    most = 1
    while True:  # otherwise nearly all pairs would show the person with the most images
        few = np.flatnonzero(ranks < most)
        next_person = np.searchsorted(labels[few], labels[few], side="right")
        partners = len(few) - next_person  # of each image, among the images of later people
        ends = np.cumsum(partners)
        if ends[-1] >= 4 * number or len(few) == len(labels):
            break
        most *= 2
    chosen = rng.choice(ends[-1], number, replace=False)
    left = np.searchsorted(ends, chosen, side="right")
    right = next_person[left] + chosen - (ends - partners)[left]
    return few[np.stack([left, right], axis=1)]


def _sorted(pairs):
    pairs = np.sort(pairs, axis=1)
    return pairs[np.lexsort(pairs.T[::-1])]


def _numbered(names, faces, folder):
    """(name, number) of each image, if all of them are found by it."""
    images, numbered = Images(folder), {}
    for row, file in names.items():
        match = _LFW_NAME.fullmatch(file)
        if not match or images.find(f"{match[1]}/{match[1]}_{int(match[2]):04d}") != faces.samples[row]:
            return None
        numbered[row] = match[1], int(match[2])
    return numbered


def _by_number(left, right, same):
    return "\t".join(map(str, (*left, right[1]) if same else (*left, *right)))


def _by_file(left, right, same):
    return f"{left}\t{right}\t{int(same)}"
