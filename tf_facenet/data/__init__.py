"""Faces: where they are, what is wrong with them, and how they become batches."""

import os
import re

from tf_facenet.data import folders, records
from tf_facenet.data.faces import Faces

_DRIVE = re.compile(r"(\\\\\?\\)?[A-Za-z]")  # of Windows, whose colon separates nothing


def load(path):
    """Load the training set that a path describes.

    Args:
        path: folder with one sub-folder for each person; or a record file `*.rec` or the folder of one;
            or "drawn" or "drawn:people=400,seed=1" (`drawn.parse`). Of several, in a list or with colons between them,
            the people count as different.

    Returns:
        `Faces`.

    Raises:
        OSError: there is no such folder or file, or it cannot be read.
        ValueError: the folder has no people or no images, the record file is damaged, or the description is wrong.
    """
    parts = single_paths(path)
    if len(parts) > 1:
        return Faces.join([load(part) for part in parts])
    path = parts[0]
    if is_drawn(path):
        return _draw(path)
    file = records.record_file(path)
    if file:
        return records.read_faces(file)
    folder = os.path.expanduser(path)
    if not os.path.exists(folder):
        raise FileNotFoundError(f"no folder {folder!r}. Expected a folder with one sub-folder for each person, or "
                                "'drawn' for faces drawn by the package.")
    return folders.read_folder(folder)


def is_drawn(path):
    """Whether a single path describes faces that this package draws."""
    return str(path).partition(":")[0] == "drawn"


def single_paths(path):
    """The single paths [n] of a path, a list of paths, or paths with colons between them.

    >>> single_paths("~/faces:drawn:people=400,seed=1:ms1m/train.rec")
    ['~/faces', 'drawn:people=400,seed=1', 'ms1m/train.rec']
    """
    if isinstance(path, (list, tuple)):
        return [single for part in path for single in single_paths(part)]
    path = os.fspath(path)
    if os.path.lexists(os.path.expanduser(path)):
        return [path]
    parts = []
    for part in _split(path):
        if parts and parts[-1] == "drawn" and ("=" in part or not os.path.exists(os.path.expanduser(part))):
            parts[-1] += f":{part}"  # belongs to its description
        else:
            parts.append(part)
    return parts


def _split(path):
    r"""What is between the colons of a path, but for those behind a drive of Windows: C:\, and there also C:/."""
    slashes = ("\\", "/") if os.path.splitdrive("C:/")[0] else "\\"
    parts = path.split(":")
    for at in reversed(range(len(parts) - 1)):
        if _DRIVE.fullmatch(parts[at]) and parts[at + 1].startswith(slashes):
            parts[at : at + 2] = [":".join(parts[at : at + 2])]
    return parts


def _draw(description):
    from tf_facenet.data import drawn  # only those who draw wait for OpenCV

    return drawn.draw(**drawn.parse(description))
