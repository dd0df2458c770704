"""Read every image once before training, and tell the good files from the bad."""

import os
from multiprocessing.pool import ThreadPool

import numpy as np
import tensorflow as tf

from tf_facenet import environment
from tf_facenet.data import headers, images
from tf_facenet.data.lines import escaped, write_lines
from tf_facenet.data.samples import Samples
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
    for part, *_ in in_parts(faces, _decodable, num_threads):
        reasons += part
        if progress:
            progress(len(reasons))
    good, bad = sort_out(faces, reasons)
    left = np.bincount(faces.labels[good], minlength=faces.num_classes)
    bad += [(f"class {name!r}", "has no readable image")
            for name, count in zip(faces.names, left, strict=True) if not count]
    return faces.select(good), bad


def in_parts(faces, measured, num_threads=None, of_file=len):
    """Read, decode and measure images in parallel, a few at a time.

    Args:
        faces: `Faces`.
        measured: what `measuring` gives.
        num_threads: None = as many as there are processor cores.
        of_file: function of the bytes of an encoded image.

    Yields:
        ``(reasons, values, results)`` of the next n images: for each why it is bad, or None; for the m good ones
        what `of_file` says; and their measures [m, ...].
    """
    environment.check_fork()
    starts = range(0, len(faces), _CHUNK)
    with ThreadPool(num_threads or os.cpu_count()) as pool:
        yield from pool.imap(lambda at: _examine(faces.samples[at : at + _CHUNK], measured, of_file), starts)


def measuring(measure):
    """A function of images [n] as `images.plain` gives them that measures those that can be decoded.

    Args:
        measure: from pixels [h, w, 3] to a tensor of fixed shape, in the graph.

    Returns:
        Function that gives ``(places, results)`` as `images.map_readable` does.
    """
    return tf.function(
        lambda *plain: images.map_readable(lambda *one: measure(images.decode(*one)), *plain),
        input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int32)], autograph=False)


def sort_out(faces, reasons):
    """Mask [N] of the good images, and (name, reason) of each other.

    Raises:
        ValueError: not one image is good.
    """
    good = np.array([reason is None for reason in reasons], bool)
    bad = [(sample_name(faces, row), reasons[row]) for row in np.flatnonzero(~good)]
    if not good.any():
        first = f", the first: {bad[0][0]} ({bad[0][1]})" if bad else ""
        raise ValueError(f"None of the {len(faces)} images can be read{first}. "
                         f"Expected {headers.FORMATS} images.")
    return good, bad


def write_bad_files(path, bad):
    """Write the list of `readable` to a file, one ``name<TAB>reason`` a line, escaped as `lines` does.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_write(path) as temporary:
        write_lines(temporary, (f"{escaped(name)}\t{escaped(reason)}" for name, reason in bad))


def _examine(chunk, measured, of_file):
    contents = Samples.of(chunk).contents(slice(None))
    encoded, orientations, reasons = images.plain_or_reason(contents)
    decoded, results = (tensor.numpy() for tensor in measured(encoded, orientations))
    for place in np.setdiff1d(np.arange(len(chunk)), decoded):
        reasons[place] = reasons[place] or images.damaged(contents[place])
    return reasons, [of_file(contents[place]) for place in decoded], results


# A pixel is asked for, since TensorFlow leaves out operations whose results nobody wants.
_decodable = measuring(lambda pixels: pixels[0, 0, 0])


def sample_name(faces, row):
    """What to call an image: its path, or its number and person."""
    sample = faces.samples[row]
    if isinstance(sample, bytes):
        return f"image {row} in memory, of {faces.names[faces.labels[row]]!r}"
    return os.fspath(sample)
