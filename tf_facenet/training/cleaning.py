"""Wrong labels found by sub-centres (Deng et al., Sub-center ArcFace, ECCV 2020).

With K centres for each class the clean images of a person gather at one of them, the dominant one,
and wrongly labelled ones at the others. Images far from the dominant centre are candidates to drop,
the other centres superfluous once they are gone.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tf_facenet.files import DAMAGES, atomic_write, write_csv
from tf_facenet.training.checkpoints import Checkpoints, read_arrays

BLOCK = 10_000  # images at a time
IMAGES, CENTERS = "far_images.csv", "dominant_centers.npz"


@dataclass(frozen=True, eq=False)
class Cleaning:
    """Where the images of each class are.

    Attributes:
        angles: [N] degrees of each image to the dominant centre of its class.
        centers: [C, D] the dominant centres.
    """

    angles: np.ndarray
    centers: np.ndarray


def clean(embeddings, labels, centers):
    """Find the dominant centres and each image's angle to that of its class.

    Args:
        embeddings: [N, D] unit rows.
        labels: [N] integers below C.
        centers: [C, K, D], not normalised.

    Returns:
        `Cleaning`. The dominant centre of a class is the nearest one to most of its images; the
        first of several, and of a class without images.
    """
    units = centers / np.maximum(np.linalg.norm(centers, axis=-1, keepdims=True), 1e-12)
    cosines = np.concatenate([  # to the own class only, and in blocks: not N·C, not N·K·D
        np.einsum("nd,nkd->nk", embeddings[start:start + BLOCK], units[labels[start:start + BLOCK]])
        for start in range(0, len(labels), BLOCK)])
    votes = np.zeros(centers.shape[:2], int)
    np.add.at(votes, (labels, cosines.argmax(axis=1)), 1)
    dominant = votes.argmax(axis=1)
    own = cosines[np.arange(len(labels)), dominant[labels]]
    return Cleaning(np.degrees(np.arccos(np.clip(own, -1, 1))),
                    centers[np.arange(len(centers)), dominant])


def read_centers(folder, num_classes):
    """Centres [C, K, D] of a run's newest checkpoint.

    Raises:
        OSError: the run has no checkpoint.
        ValueError: its head has no centres, or they belong to other classes.
    """
    paths = Checkpoints(Path(folder, "checkpoints")).paths()
    if not paths:
        raise OSError(f"{folder} has no checkpoint; expected the folder of a finished training run")
    arrays = read_arrays(paths[-1], "model")
    if "head/centers" not in arrays:
        raise ValueError(f"{folder} was trained with a head that has no centres; expected --head "
                         "arcface --sub_centers 3 or the like")
    centers = arrays["head/centers"]
    if len(centers) % num_classes:
        raise ValueError(f"{folder} has {len(centers)} centres, no multiple of {num_classes} people; "
                         "expected the data that it was trained on")
    return centers.reshape(num_classes, -1, centers.shape[1])


def save(cleaning, faces, angle, folder):
    """Write the images farther than an angle, and the dominant centres, into a folder.

    Returns:
        Number of images farther than `angle` degrees.
    """
    far = np.flatnonzero(cleaning.angles > angle)
    far = far[np.argsort(-cleaning.angles[far], kind="stable")]
    rows = [(faces.samples[i], faces.names[faces.labels[i]], f"{cleaning.angles[i]:.1f}") for i in far]
    write_csv(Path(folder, IMAGES), [("image", "person", "degrees"), *rows])
    with atomic_write(Path(folder, CENTERS)) as temporary, open(temporary, "wb") as file:
        np.savez(file, centers=cleaning.centers, names=np.array(faces.names))
    return len(far)


def read_dominant(path, class_names):
    """Rows [C, D] of a file of dominant centres for these people, or None if one is missing."""
    with open(path, "rb") as opened:
        try:
            with np.load(opened, allow_pickle=False) as file:
                rows = dict(zip(file["names"].tolist(), file["centers"], strict=True))
        except DAMAGES as error:
            raise ValueError(f"'{path}' is damaged ({error}). Write it again with tf-facenet clean") from error
    return np.stack([rows[name] for name in class_names]) if set(class_names) <= set(rows) else None
