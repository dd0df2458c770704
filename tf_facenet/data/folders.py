"""A folder with one sub-folder for each person → `Faces`.

The layout of davidsandberg/facenet (src/facenet.py `get_dataset`; MIT): the sorted sub-folders
are the people and the files below are their images. Deliberate differences: folders inside a
person's folder belong to the person, and files that are no images are left out.

Nothing is opened here but files with an unusual suffix, because opening a million files takes
longer than listing them. What claims to be an image and is none is found by `check.readable`,
which reads everything.
"""

import logging
import os

import numpy as np

from tf_facenet.data.faces import Faces
from tf_facenet.data.headers import image_format

logger = logging.getLogger(__name__)

# What users take for images; the formats of the second line are reported as unreadable.
_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp",
                       ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2"))


def read_folder(root):
    """List the images of `<root>/<person>/**`, sorted; hidden files and folders are skipped.

    An image is a file with an image's suffix or, whatever its suffix, with an image's first bytes.

    Raises:
        OSError: there is no such folder, or it cannot be read.
        ValueError: it has no sub-folders, or no images in them.
    """
    root = os.path.expanduser(root)
    people = _people(root)
    samples, labels, names, foreign, empty = [], [], [], 0, []
    for name in people:
        files = list(_files(os.path.join(root, name), {_identity(root)}))
        images = [path for path in files if _is_image(path)]
        foreign += len(files) - len(images)
        if not images:
            empty.append(name)
            continue
        labels += [len(names)] * len(images)
        samples += images
        names.append(name)
    if not names:
        raise ValueError(f"folder {root!r} has {len(people)} sub-folders but no image in any "
                         f"({foreign} other files). Expected JPEG, PNG, BMP, GIF or WebP images.")
    if foreign:
        logger.info("%s: %d files that are no images are ignored", root, foreign)
    if empty:
        logger.warning("%s: %d people have no images, such as %r", root, len(empty), empty[0])
    return Faces(np.array(samples, object), np.array(labels, np.int64), names)


def image_files(root):
    """Paths of all images anywhere in a folder, sorted folder by folder; hidden ones are skipped.

    Raises:
        OSError: there is no such folder, or it cannot be read.
        ValueError: it has no images.
    """
    root = os.path.expanduser(root)
    if not os.path.isdir(root):
        raise FileNotFoundError(f"no folder {root!r}. Expected a folder of images.")
    found = [path for path in _files(root, set()) if _is_image(path)]
    if not found:
        raise ValueError(f"folder {root!r} has no images. Expected JPEG, PNG, BMP, GIF or WebP images.")
    return found


def _people(root):
    if not os.path.exists(root):
        raise FileNotFoundError(f"no folder {root!r}. Expected a folder with one sub-folder for each person.")
    if not os.path.isdir(root):
        raise NotADirectoryError(f"{root!r} is a file. Expected a folder with one sub-folder for "
                                 "each person.")
    with os.scandir(root) as entries:
        people = sorted(entry.name for entry in entries
                        if _is_folder(entry) and not entry.name.startswith("."))
    if not people:
        raise ValueError(f"folder {root!r} has no sub-folders. Expected one sub-folder for each "
                         "person, with the images in it.")
    return people


def _files(folder, visited):
    """Paths of all files below a folder; each folder once, so that links make no loops."""
    identity = _identity(folder)
    if identity in visited:
        return
    visited.add(identity)
    with os.scandir(folder) as entries:
        entries = sorted(entries, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            yield from _files(entry.path, visited)
        elif entry.is_symlink() or entry.is_file():  # a broken link will be reported
            yield entry.path


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _identity(folder):
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_image(path):
    if os.path.splitext(path)[1].lower() in _SUFFIXES:
        return True
    try:
        with open(path, "rb") as file:
            return image_format(file.read(16)) is not None
    except OSError:
        return False
