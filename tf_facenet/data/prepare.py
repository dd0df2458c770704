"""From the data options to the faces to train on: load, choose people, drop bad files, filter."""

import csv
import logging
import os

import h5py
import numpy as np

from tf_facenet import data
from tf_facenet.data import headers, people, samples
from tf_facenet.data.faces import Faces
from tf_facenet.files import csv_text
from tf_facenet.progress import Progress

logger = logging.getLogger(__name__)

LOOKED_AT = 60  # images, for their sizes
SEEN = 0.6  # share of an image that the network sees at least; facenet's crop of 160 from 182 pixels is 0.77


def chosen_faces(options):
    """Load the faces that the options name, readable or not, which needs no TensorFlow.

    Args:
        options: `options.DataOptions`.

    Returns:
        `Faces`.

    Raises:
        OSError: no such folder or file.
        ValueError: a list fits none of them.
    """
    faces = data.load(options.data_dir)
    if options.people_file:
        faces = only_people(faces, options.people_file)
    if options.exclude_people:
        faces = without_people(faces, options.exclude_people)
    if options.exclude_file:
        faces = without_listed(faces, options.exclude_file)
    if options.filter_filename:
        _distances(options.filter_filename)
    return faces


def training_faces(options, faces=None):
    """Leave out what cannot be read and what the filter says.

    Args:
        options: `options.DataOptions`.
        faces: what `chosen_faces` gave; None chooses them.

    Returns:
        ``(faces, bad)``: `Faces`, and a list of (file, reason) of the unreadable files.

    Raises:
        OSError: no such folder or file.
        ValueError: too few people, or unreadable files with ``--strict_data``.
    """
    from tf_facenet.data import survey

    faces = faces or chosen_faces(options)
    faces, bad = _without_unreadable(faces, options.quiet, options.strict_data)
    if options.filter_filename:
        faces = without_outliers(faces, options)
    elif options.filter_min_nrof_images_per_class:
        faces = faces.with_min_images(options.filter_min_nrof_images_per_class)
    if faces.num_classes < 2:
        raise ValueError(f"--data_dir {options.data_dir!r} has {faces.num_classes} person with "
                         "readable images; training needs at least two people")
    for fact in survey.people_facts(faces):
        if fact.odd:
            logger.warning("%s: %s", fact.label.capitalize(), fact.text)
    _warn_of_sizes(faces, options.image_size)
    return faces, bad


def _warn_of_sizes(faces, image_size):
    """Warn if most of an image lies outside of what the network sees: nothing is scaled."""
    from tf_facenet.data import images

    rows = np.linspace(0, len(faces) - 1, min(LOOKED_AT, len(faces))).astype(int)
    size = np.median([headers.image_size(samples.read(faces.samples[row])) for row in rows], axis=0)
    seen = np.minimum(images.height_width(image_size), size)
    if seen.prod() < SEEN * size.prod():
        logger.warning("Sizes: of images of %dx%d pixels only %dx%d are seen, the rest is cropped; nothing is scaled. "
                       "Align them to about --image_size (tf-facenet align), or raise it", *size, *seen)


def folder_faces(folder):
    """The image files of a folder of people, as `Faces`.

    Raises:
        OSError: no such folder.
        ValueError: the images are not in files of their own.
    """
    faces = data.load(folder)
    are_files = isinstance(faces.samples, np.ndarray) and isinstance(faces.samples[0], str)
    if not (are_files and os.path.isdir(os.path.expanduser(folder))):
        raise ValueError(f"{folder!r} has no image files that a list could name; expected a folder with one sub-folder "
                         "per person")
    return faces


def readable_faces(faces, quiet=False):
    """The images that can be decoded; the log says how many cannot.

    Raises:
        ValueError: none can.
    """
    return _without_unreadable(faces, quiet)[0]


def check_pairs(pairs, quiet=False):
    """Raise ValueError if an image of some `Pairs` cannot be decoded."""
    different = np.array(list(dict.fromkeys(pairs.images)), object)
    _, bad = _readable(Faces(different, np.zeros(len(different), np.int64), [pairs.name]), quiet)
    if bad:
        raise ValueError(f"{_unreadable(bad)}. Replace them, or take their pairs out of the pairs file")


def _without_unreadable(faces, quiet, strict=False):
    faces, bad = _readable(faces, quiet)
    if bad:
        if strict:
            raise ValueError(f"{_unreadable(bad)}. Mend or remove them, or leave out --strict_data")
        logger.warning(_unreadable(bad))
    return faces, bad


def _readable(faces, quiet):
    from tf_facenet.data import check  # which waits for TensorFlow

    with Progress(len(faces), "Reading images", quiet=quiet) as bar:
        return check.readable(faces, progress=bar.update)


def _unreadable(bad):
    return f"{len(bad)} unreadable files, the first: {bad[0][0]} ({bad[0][1]})"


def only_people(faces, path):
    """Keep the people named in a file, one a line (LFW's people files fit).

    Raises:
        OSError: the file cannot be read.
        ValueError: it names none of them.
    """
    chosen, unknown = people.found(path, faces.names)
    if not chosen.any():
        raise ValueError(f"--people_file {path!r} names none of the {faces.num_classes} people of "
                         f"--data_dir; they are called {faces.names[0]!r} and so on")
    nobody = f"; nobody has {len(unknown)} of its names, such as {unknown[0]!r}" if unknown else ""
    logger.info("Kept: %d people whom %s names%s", np.sum(chosen), path, nobody)
    return faces.select(chosen[faces.labels])


def without_people(faces, path):
    """Drop the people whom a file names, such as LFW's pairs.txt; "Al_Gore" and "al gore" are one.

    Raises:
        OSError: the file cannot be read.
        ValueError: it names all of them.
    """
    named = people.listed(path, faces.names, key=people.plain)
    if named.all():
        raise ValueError(f"--exclude_people {path!r} names all {faces.num_classes} people of --data_dir; "
                         "nobody is left to train on")
    logger.info("Excluded: %d people whom %s names", np.sum(named), path)
    return faces.select(~named[faces.labels])


def without_listed(faces, path):
    """Drop the images named in the first column of a CSV file with a header line.

    Raises:
        OSError: the file cannot be read.
        ValueError: it names images, but none of these.
    """
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        try:
            listed = {name for row in list(csv.reader(file))[1:] if row for name in (row[0], csv_text(row[0]))}
        except csv.Error as error:
            raise ValueError(f"--exclude_file {path!r} is no CSV file: {error}. Expected a line a row, the name of "
                             "an image first") from None
    keep = np.array([sample not in listed for sample in faces.samples])
    if listed and keep.all():
        raise ValueError(f"--exclude_file {path!r} names no image of --data_dir, but for example "
                         f"{min(listed)!r}; the images are called {faces.samples[0]!r:.200} and so on")
    logger.info("Excluded: %d images that %s names", np.sum(~keep), path)
    return faces.select(keep)


def without_outliers(faces, options):
    """Drop the images that are far from their class centre, by facenet's filter file.

    The file holds ``image_list`` (paths) and ``distance_to_center``. Images whose distance is not
    below the percentile of all distances go, then classes that lost images and keep fewer than
    ``--filter_min_nrof_images_per_class``.

    Raises:
        OSError: the file is not HDF5.
        ValueError: it names none of the images.
    """
    names, distances = _distances(options.filter_filename)
    far = {name for name, distance in zip(names, distances, strict=True)
           if distance >= distance_percentile(distances, options.filter_percentile)}
    if not set(names).intersection(faces.samples):
        raise ValueError(f"--filter_filename {options.filter_filename!r} names no image of "
                         f"--data_dir {options.data_dir!r}; it was made from {names[0]!r}")
    keep = np.array([sample not in far for sample in faces.samples])
    counts = np.bincount(faces.labels[keep], minlength=faces.num_classes)
    touched = np.bincount(faces.labels[~keep], minlength=faces.num_classes) > 0
    small = touched & (counts < options.filter_min_nrof_images_per_class)
    return faces.select(keep & ~small[faces.labels])


def _distances(path):
    """Names of images and their distances in a filter file."""
    try:
        with h5py.File(path) as file:
            names = [os.fsdecode(name) for name in file["image_list"]]
            distances = np.asarray(file["distance_to_center"], float)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise ValueError(f"--filter_filename {path!r} is no such file, or damaged: {error}. Write it with tf-facenet "
                         "filter") from error
    if not names or distances.shape != (len(names),) or not np.isfinite(distances).all():
        raise ValueError(f"--filter_filename {path!r} has {len(names)} names and distances {distances.shape}; expected "
                         "a finite number for each name. Write it with tf-facenet filter")
    return names, distances


def distance_percentile(distances, percentile):
    """Distance below which a percentage of all lie, by interpolation in a 100-bin histogram."""
    counts, edges = np.histogram(distances, bins=100)
    return np.interp(percentile / 100, np.cumsum(counts) / len(distances),
                     (edges[:-1] + edges[1:]) / 2)


def hold_out(faces, options):
    """Split the validation images off.

    Args:
        faces: `Faces`.
        options: `options.ValidationOptions`.

    Returns:
        ``(training, held_out)``; ``held_out`` is None if no split is asked for.

    Raises:
        ValueError: fewer than two people keep enough images.
    """
    held_out = None
    if options.validation_set_split_ratio:
        faces, held_out = faces.split_images(
            options.validation_set_split_ratio, options.min_nrof_val_images_per_class,
            options.seed)
        if faces.num_classes < 2:
            raise ValueError(
                f"{faces.num_classes} people keep enough training images with "
                f"--validation_set_split_ratio {options.validation_set_split_ratio} and "
                f"--min_nrof_val_images_per_class {options.min_nrof_val_images_per_class}; "
                "training needs at least two. Lower either")
    for kind, part in (("training", faces), ("validation", held_out)):
        if part:
            logger.info("Number of classes in %s set: %d", kind, part.num_classes)
            logger.info("Number of examples in %s set: %d", kind, len(part))
    return faces, held_out
