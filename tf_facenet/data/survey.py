"""What is in a training set and what is odd about it: found in one pass over its images, a few in memory at a time."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tf_facenet.data import check, images, people

MANY_WITH_ONE = 0.1  # share of people with one image that is worth a warning
_GREY = 3.0  # grey levels between the channels, at most, of a grey picture that JPEG stored in colour
_SIDE = 256  # of larger images every second, third … row and column is measured


@dataclass(frozen=True)
class Fact:
    """One line about a data set; `odd` if it may well be a mistake."""

    label: str
    text: str
    odd: bool = False


@dataclass(frozen=True, eq=False)
class Survey:
    """What a pass over N images found.

    Attributes:
        faces: `Faces`, all of them.
        rows: [n] int64, the readable images, to which the next three belong.
        sizes: [n, 2] int32, height and width.
        copies: list of arrays of rows, images with the same content.
        grey: share of the readable images without colour.
        mean: [3], red, green and blue, of images that count alike whatever their size.
        std: [3], the same.
        bad: list of (name, reason) of the unreadable ones.
    """

    faces: object
    rows: np.ndarray
    sizes: np.ndarray
    copies: list
    grey: float
    mean: np.ndarray
    std: np.ndarray
    bad: list

    @property
    def mixed(self):
        """Those of the copies that stand under several people: some have a wrong label."""
        return [rows for rows in self.copies if len(set(self.faces.labels[rows])) > 1]

    @property
    def repeated(self):
        """Those of the copies that stand under one person."""
        return [rows for rows in self.copies if len(set(self.faces.labels[rows])) == 1]


def survey(faces, num_threads=None, progress=None):
    """Read, decode and measure all images.

    Args:
        faces: `Faces`.
        num_threads: None = as many as there are processor cores.
        progress: called with the number of images read so far.

    Returns:
        `Survey`.

    Raises:
        ValueError: not one image can be read.
    """
    reasons, hashes, sizes, products, grey = [], [], [], np.zeros((4, 4)), 0
    for part, digests, measures in check.in_parts(faces, _measured, num_threads, _digest):
        reasons += part
        hashes.append(np.array(digests, np.uint64))
        sizes.append(measures[:, :2].astype(np.int32))
        found = measures[:, 2:].reshape(-1, 4, 4).astype(np.float64)
        products += found.sum(axis=0)
        grey += np.count_nonzero(_channel_distance(found) < _GREY)
        if progress:
            progress(len(reasons))
    good, bad = check.sort_out(faces, reasons)
    rows = np.flatnonzero(good)
    products /= len(rows)
    mean, square = products[0, 1:], np.diag(products)[1:]
    return Survey(faces, rows, np.concatenate(sizes), _copies(rows, np.concatenate(hashes)),
                  grey / len(rows), mean, np.sqrt(np.maximum(square - mean**2, 0)), bad)


def _channel_distance(products):
    """Largest root mean square difference [n] of two channels, from means of products [n, 4, 4]."""
    square = np.diagonal(products, axis1=1, axis2=2)[:, 1:]
    differences = square[:, :, None] + square[:, None, :] - 2 * products[:, 1:, 1:]
    return np.sqrt(np.maximum(differences.max(axis=(1, 2)), 0))


def pixels(faces, row):
    """One image, uint8 [h, w, 3]."""
    return images.read(faces.samples[int(row)])


def _digest(encoded):
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "little")


def _measure(pixels):
    """Height, width and the mean [4, 4] of the products of 1, red, green and blue: one matrix product gives it."""
    size = tf.shape(pixels)[:2]
    step = tf.maximum(tf.reduce_max(size) // _SIDE, 1)
    pixels = tf.reshape(tf.cast(pixels[::step, ::step], tf.float32), [-1, 3])
    pixels = tf.pad(pixels, [[0, 0], [1, 0]], constant_values=1)
    products = tf.matmul(pixels, pixels, transpose_a=True)
    return tf.concat([tf.cast(size, tf.float32), tf.reshape(products / products[0, 0], [16])], axis=0)


_measured = check.measuring(_measure)


def _copies(rows, hashes):
    order = np.argsort(hashes, kind="stable")
    groups = np.split(rows[order], np.flatnonzero(np.diff(hashes[order])) + 1)
    return sorted((group for group in groups if len(group) > 1), key=lambda group: group[0])


def people_facts(faces):
    """Facts about the people that need no image: how many images they have, and whose names are alike."""
    counts = np.bincount(faces.labels, minlength=faces.num_classes)
    one, few = np.sum(counts == 1), np.sum(counts < 5)
    facts = [Fact("people", f"{faces.num_classes:,}"),
             Fact("images", f"{len(faces):,}, a person has {counts.min():,} to {counts.max():,}, median "
                            f"{np.median(counts):g}"),
             Fact("few images", f"{_share(one, len(counts))} of the people have one image, {_share(few, len(counts))} "
                                "fewer than five", one > MANY_WITH_ONE * len(counts)),
             Fact("labels", f"0 to {faces.num_classes - 1:,}, " + (
                 f"{np.sum(counts == 0):,} without an image" if not counts.all() else "each has images"),
                  not counts.all())]
    alike = alike_names(faces.names)
    if alike:
        facts.append(Fact("names", f"{len(alike):,} people may be there twice, such as {alike[0][0]!r} and "
                                   f"{alike[0][1]!r}", True))
    return facts


def alike_names(names):
    """Lists of names that differ in case, accents and punctuation only."""
    groups = defaultdict(list)
    for name in names:
        groups[people.plain(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def image_facts(found):
    """Facts about the images of a `Survey`."""
    counted = np.unique(found.sizes, axis=0, return_counts=True)
    (height, width), often = counted[0][counted[1].argmax()], counted[1].max()
    facts = [Fact("size", f"{width}x{height} (width x height), {_share(often, len(found.rows))} of the images")]
    if len(counted[1]) > 1:
        low, middle, high = np.percentile(found.sizes, (0, 50, 100), axis=0).round().astype(int)
        facts.append(Fact("sizes", f"{len(counted[1]):,}, width {low[1]} to {high[1]}, median {middle[1]}; height "
                                   f"{low[0]} to {high[0]}, median {middle[0]}"))
    channels = [" ".join(f"{value:.1f}" for value in values) for values in (found.mean, found.std)]
    facts.append(Fact("colour", f"red, green, blue: mean {channels[0]}, standard deviation {channels[1]}"))
    facts.append(Fact("grey", f"{_share(round(found.grey * len(found.rows)), len(found.rows))} of the images"))
    if found.bad:
        facts.append(Fact("unreadable", f"{len(found.bad):,}, such as {found.bad[0][0]} ({found.bad[0][1]})", True))
    for groups, label, text in ((found.repeated, "duplicates", "copies of another image of the same person"),
                                (found.mixed, "wrong labels?", "copies of an image of another person")):
        if groups:
            copies = sum(map(len, groups)) - len(groups)
            first, second = (check.sample_name(found.faces, row) for row in groups[0][:2])
            facts.append(Fact(label, f"{copies:,} {text}, such as {first} and {second}", True))
    return facts


def _share(count, total):
    share = 100 * count / total
    rounded = f"{share:.0f}" if share in (0, 100) or 1 <= share <= 99 else f"{share:.2g}" if share < 1 else ">99"
    return f"{count:,} ({rounded}%)"
