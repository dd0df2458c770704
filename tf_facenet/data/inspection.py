"""What a record file holds, and whether all of it is as it should be."""

import os

import numpy as np

from tf_facenet.data import headers, records
from tf_facenet.data.recordio import HEADER, RecordFile
from tf_facenet.data.samples import read
from tf_facenet.progress import Progress


def describe(path):
    """What a record file holds, by the heads of its records and its first image.

    Args:
        path: file `*.rec`.

    Returns:
        Dict of words to words.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    found = records.read_records(path)
    faces, extra = records.faces(found), int(np.sum(~found.are_images))
    counts, labels = np.bincount(faces.labels), found.labels[found.are_images]
    first = read(faces.samples[0])
    size = "x".join(map(str, headers.image_size(first))) if not headers.fault(first) else headers.fault(first)
    said = records.read_property(path)
    return {
        "file": f"{path}, {os.path.getsize(path):,} bytes",
        "index": records.companion(path, ".idx") if found.has_index else "none; found by walking through the file",
        "images": f"{len(faces):,}",
        "people": f"{faces.num_classes:,}, labels {labels.min():.0f} to {labels.max():.0f}, "
                  f"names {faces.names[0]!r} to {faces.names[-1]!r}",
        "images a person": f"{counts.min()} to {counts.max()}, median {np.median(counts):g}",
        "layout": f"insightface's, {extra:,} records without image" if extra else "images only, as im2rec writes it",
        "first image": f"{headers.image_format(first) or 'no image'}, {size}, {len(first):,} bytes",
        "property": ",".join(map(str, said)) if said else "none",
    }


def faults(path, quiet=False):
    """Everything that is wrong with a record file that can be read; every image is decoded.

    Args:
        path: file `*.rec`.
        quiet: no progress bar.

    Returns:
        List of (what, why).

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or has not one good image.
    """
    from tf_facenet.data import check  # which waits for TensorFlow

    found = records.read_records(path)
    faces = records.faces(found)
    with Progress(len(faces), "Reading images", quiet) as bar:
        return [*structure(found), *check.readable(faces, progress=bar.update)[1]]


def structure(found):
    """What is wrong with a record file besides its images: (what, why) each.

    Args:
        found: `Records`.
    """
    yield from _unindexed(found)
    yield from _people(found)
    if fault := records.property_fault(found, records.faces(found).num_classes):
        yield records.companion(found.path, "property"), fault


def _unindexed(found):
    """Records that the index leaves out."""
    if found.has_index:
        with RecordFile(found.path) as file:
            for offset in np.setdiff1d(file.walk(), found.offsets):
                yield f"{found.path}@{offset}", "the index has no such record"


def _people(found):
    """Faults of the records without images: record 0 names the others, and these the images of a person each."""
    images, labels = found.keys[found.are_images], found.labels[found.are_images]
    if found.are_images.all() or found.keys.max() >= records.MAX_LABEL:  # not to be told from rounding
        return
    extra = np.flatnonzero(~found.are_images)
    people = found.keys[extra][found.keys[extra] > 0]
    with RecordFile(found.path) as file:
        for row in extra:
            first, end = _range(file, found, row)
            if found.keys[row] == 0:
                good = len(people) and (first, end) == (people[0], people[-1] + 1)
                what = f"the people's records {people[:1].tolist()} to {people[-1:].tolist()}"
            else:
                part = labels[slice(*np.searchsorted(images, (first, end)))]
                good = len(part) and (part == part[0]).all()
                what = "images of one person"
            if not good:
                yield f"{found.path}@{found.offsets[row]}", f"names the records {first:g} to {end:g}, expected {what}"


def _range(file, found, row):
    if found.flags[row] != 2:
        return np.nan, np.nan
    return np.frombuffer(file.read(found.offsets[row]), "<f4", 2, HEADER.size).tolist()
