"""A folder with one sub-folder for each person → `Faces`.

The layout of davidsandberg/facenet (src/facenet.py `get_dataset`; MIT): the sorted sub-folders
are the people and the files below are their images. Deliberate differences: folders inside a
person's folder belong to the person, and files that are no images are left out and counted by
their endings.

Nothing is opened here but files with an unusual suffix, because opening a million files takes
longer than listing them. What claims to be an image and is none is found by `check.readable`,
which reads everything.
"""

import logging
import os
from collections import Counter

import numpy as np

from tf_facenet.data.faces import Faces
from tf_facenet.data.headers import FORMATS, SUFFIXES, image_format

logger = logging.getLogger(__name__)

# Endings of pictures that are not read: users would miss them.
_PICTURES = frozenset((".heic", ".heif", ".avif", ".jp2", ".jxl", ".jfif", ".psd", ".svg", ".ico", ".tga",
                       ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"))
_NAMED = 5  # endings in a message


def read_folder(root):
    """List the images of `<root>/<person>/**`, sorted; hidden files and folders are skipped.

    An image is a file with an image's suffix or, whatever its suffix, with an image's first bytes.

    Raises:
        OSError: there is no such folder, or it cannot be read.
        ValueError: it has no sub-folders, or no images in them.
    """
    root = os.path.expanduser(root)
    people, loose = _people(root)
    samples, labels, names, foreign, empty = [], [], [], Counter(), []
    for name in people:
        images, others = _images(_files(os.path.join(root, name), {_identity(root)}))
        foreign += others
        if not images:
            empty.append(name)
            continue
        labels += [len(names)] * len(images)
        samples += images
        names.append(name)
    if not names:
        raise ValueError(f"folder {root!r} has {len(people)} sub-folders but no image in any "
                         f"({_counted(foreign)}). Expected {FORMATS} images.")
    _tell_unread(root, foreign)
    if loose:
        logger.warning("%s: %d photographs beside the folders of people are not read, such as %r; each belongs into "
                       "a person's folder", root, len(loose), os.path.basename(loose[0]))
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
    found, foreign = _images(_files(root, set()))
    if not found:
        raise ValueError(f"folder {root!r} has no images ({_counted(foreign)}). Expected {FORMATS} images.")
    _tell_unread(root, foreign)
    return found


def _images(paths):
    """Those of some paths that are images, and a Counter of the others' endings."""
    images, others = [], Counter()
    for path in paths:
        if _is_image(path):
            images.append(path)
        else:
            others[_ending(path)] += 1
    return images, others


def _tell_unread(root, foreign):
    if foreign:
        level = logging.WARNING if _PICTURES.intersection(foreign) else logging.INFO
        logger.log(level, "%s: not read: %s", root, _counted(foreign))


def _counted(foreign):
    """Such as "400 .heic files, 1 file without an ending", pictures first."""
    order = sorted(foreign, key=lambda ending: (ending not in _PICTURES, -foreign[ending], ending))
    words = []
    for ending in order[:_NAMED]:
        files = f"{ending} file" if ending else "file without an ending"
        words.append(f"{foreign[ending]:,} {files if foreign[ending] == 1 else files.replace('file', 'files')}")
    rest = sum(foreign[ending] for ending in order[_NAMED:])
    return ", ".join(words + [f"{rest:,} others"] * (rest > 0)) or "no other files"


def _people(root):
    """Names of the sub-folders, and paths of the photographs beside them."""
    if not os.path.exists(root):
        raise FileNotFoundError(f"no folder {root!r}. Expected a folder with one sub-folder for each person.")
    if not os.path.isdir(root):
        raise NotADirectoryError(f"{root!r} is a file. Expected a folder with one sub-folder for "
                                 "each person.")
    with os.scandir(root) as entries:
        entries = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    people = [entry.name for entry in entries if _is_folder(entry)]
    if not people:
        raise ValueError(f"folder {root!r} has no sub-folders. Expected one sub-folder for each "
                         "person, with the images in it.")
    return people, [entry.path for entry in entries if _is_file(entry) and _is_image(entry.path)]


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
        elif _is_file(entry):
            yield entry.path


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_file(entry):
    return not _is_folder(entry) and (entry.is_symlink() or entry.is_file())  # a broken link will be reported


def _ending(path):
    return os.path.splitext(path)[1].lower()


def _identity(folder):
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_image(path):
    if _ending(path) in SUFFIXES:
        return True
    try:
        with open(path, "rb") as file:
            return image_format(file.read(16)) is not None
    except OSError:
        return False
