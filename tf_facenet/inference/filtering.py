"""How far each image is from the mean of its person (facenet src/calculate_filtering_metrics.py; MIT)."""

import h5py
import numpy as np

from tf_facenet.files import atomic_write


def distances_to_means(embeddings, labels, num_classes):
    """Euclidean distance of each embedding to the plain mean of its class, as facenet measures it.

    Args:
        embeddings: [N, D].
        labels: [N] integers, 0..C-1.
        num_classes: C.

    Returns:
        [N].
    """
    sums = np.zeros((num_classes, embeddings.shape[1]))
    np.add.at(sums, labels, embeddings)
    means = sums / np.maximum(np.bincount(labels, minlength=num_classes), 1)[:, None]
    return np.linalg.norm(embeddings - means[labels], axis=1)


def check_names(faces):
    """Raise ValueError if some of the images are in memory: they have no names that a list could give."""
    if any(isinstance(sample, bytes) for sample in faces.samples):
        raise ValueError("The images are in memory and have no names to list; expected a folder or a record file.")


def write(path, faces, distances):
    """Write facenet's HDF5 file: class_names, image_list, label_list and distance_to_center.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        file["class_names"] = _encoded(faces.names)
        file["image_list"] = _encoded(faces.samples)
        file["label_list"] = faces.labels
        file["distance_to_center"] = distances


def _encoded(names):
    return np.array([name.encode(errors="surrogateescape") for name in names], "S")
