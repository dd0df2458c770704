"""Faces: where they are, what is wrong with them, and how they become batches."""

import os

from tf_facenet.data import folders
from tf_facenet.data.faces import Faces


def load(path):
    """Load the training set that a path describes.

    Args:
        path: folder with one sub-folder for each person, or "drawn" or
            "drawn:people=400,seed=1" (`drawn.parse`), or a list of such paths, whose people
            count as different.

    Returns:
        `Faces`.

    Raises:
        OSError: there is no such folder, or it cannot be read.
        ValueError: the folder has no people or no images, or the description is wrong.
    """
    if isinstance(path, (list, tuple)):
        return Faces.join([load(part) for part in path])
    path = os.fspath(path)
    return _SOURCES.get(path.partition(":")[0], folders.read_folder)(path)


def _draw(description):
    from tf_facenet.data import drawn  # only those who draw wait for OpenCV

    return drawn.draw(**drawn.parse(description))


_SOURCES = {"drawn": _draw}  # everything else is a folder
