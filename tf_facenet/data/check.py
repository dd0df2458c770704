"""Read every image once before training, and tell the good files from the bad."""

import os
from multiprocessing.pool import ThreadPool

import numpy as np
import tensorflow as tf

from tf_facenet.data import headers, images
from tf_facenet.files import atomic_write

_CHUNK = 32  # images that one call of a thread reads: their files are in memory together


def readable(faces, num_threads=None, progress=None):
    """Leave out the images that cannot be decoded, by decoding all of them as training does.

    Args:
        faces: `Faces`.
        num_threads: None = as many as there are processor cores.
        progress: called with the number of images read so far.

    Returns:
        ``(faces, bad)``: `Faces` of the good images, and a list of (name, reason) of the others,
        in order. People without any good image are not in the faces, and are named at the end of
        the list.

    Raises:
        ValueError: not one image is good.
    """
    reasons = []
    starts = range(0, len(faces), _CHUNK)
    with ThreadPool(num_threads or os.cpu_count()) as pool:
        for part in pool.imap(lambda at: _faults(faces.samples[at : at + _CHUNK]), starts):
            reasons += part
            if progress:
                progress(len(reasons))
    good = np.array([reason is None for reason in reasons], bool)
    bad = [(_name(faces, row), reasons[row]) for row in np.flatnonzero(~good)]
    if not good.any():
        first = f", the first: {bad[0][0]} ({bad[0][1]})" if bad else ""
        raise ValueError(f"None of the {len(faces)} images can be read{first}. "
                         "Expected JPEG, PNG, BMP, GIF or WebP images.")
    left = np.bincount(faces.labels[good], minlength=faces.num_classes)
    bad += [(f"class {name!r}", "has no readable image")
            for name, count in zip(faces.names, left, strict=True) if not count]
    return faces.select(good), bad


def write_bad_files(path, bad):
    """Write the list of `readable` to a file, one ``name<TAB>reason`` a line.

    Raises:
        OSError: the file cannot be written.
    """
    text = "".join(f"{name}\t{reason}\n" for name, reason in bad)
    with atomic_write(path) as temporary:
        temporary.write_bytes(os.fsencode(text))  # also names that are not UTF-8


def _faults(samples):
    """For each sample, why it is bad, or None."""
    reasons, contents = [None] * len(samples), {}
    for place, sample in enumerate(samples):
        try:
            contents[place] = _content(sample)
            reasons[place] = headers.fault(contents[place])
        except OSError as error:
            reasons[place] = f"cannot be read: {error.strerror}"
    # A header can be so bad that decoding must not be tried.
    promising = [place for place, reason in enumerate(reasons) if reason is None]
    encoded = tf.constant([contents[place] for place in promising], tf.string)
    decoded = _decodable(encoded).numpy()
    for place in np.delete(promising, decoded).astype(int):
        reasons[place] = f"truncated or corrupt {headers.image_format(contents[place])}"
    return reasons


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _decodable(encoded):
    """Places [m] of the images [n] that can be decoded."""
    # A pixel is asked for, since TensorFlow leaves out operations whose results nobody wants.
    return images.map_readable(lambda one: images.decode(one)[0, 0, 0], encoded)[0]


def _content(sample):
    if isinstance(sample, bytes):
        return sample
    with open(sample, "rb") as file:
        return file.read()


def _name(faces, row):
    sample = faces.samples[row]
    if isinstance(sample, bytes):
        return f"image {row} in memory, of {faces.names[faces.labels[row]]!r}"
    return os.fspath(sample)
