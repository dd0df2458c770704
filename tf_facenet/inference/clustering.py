"""Groups of images that show one person each, without knowing anybody."""

import numpy as np

from tf_facenet.inference.linkage import average_linkage
from tf_facenet.lookup import lookup

NOBODY = -1  # label of what belongs to no cluster
ALONE = 1.0  # 60 degrees: with hdbscan and no threshold, faces that are nearer in the mean can be a single person's


def _average(rows, threshold, min_cluster_size):
    _, labels, counts = np.unique(average_linkage(rows, threshold), return_inverse=True, return_counts=True)
    return np.where(counts[labels] < min_cluster_size, NOBODY, labels)


def _dbscan(rows, threshold, min_cluster_size):
    from sklearn.cluster import DBSCAN

    return DBSCAN(eps=threshold, min_samples=min_cluster_size).fit_predict(rows)


def _hdbscan(rows, threshold, min_cluster_size):
    """Where there are not two people to tell apart density says nothing: either nobody is found, or parts of one."""
    from sklearn.cluster import HDBSCAN

    least = max(2, min_cluster_size)
    labels = _average(rows, threshold or ALONE, least)
    if len(set(labels) - {NOBODY}) < 2:
        return labels
    return HDBSCAN(min_cluster_size=least, copy=True).fit_predict(rows)


METHODS = {"average": _average, "dbscan": _dbscan, "hdbscan": _hdbscan}
# What a threshold of verification is multiplied with to link faces: measured, see docs/results.md.
SCALES = {"average": 1.05, "dbscan": 0.85, "hdbscan": 1.05}


def linking_distance(threshold, method):
    """The threshold for `cluster` that goes with a model's.

    Args:
        threshold: Euclidean distance below which two faces are the same person's.
        method: one of `METHODS`.
    """
    return min(2.0, SCALES[method] * threshold)


def cluster(embeddings, method="average", threshold=None, min_cluster_size=1):
    """Number the people that embeddings show (facenet's contributed/cluster.py; MIT).

    Args:
        embeddings: [N, D], rows of norm 1.
        method: "average" merges groups for as long as their distance is below the threshold, the root of the mean
            squared distance of their rows; "dbscan" joins all that is linked by distances below it; "hdbscan" looks for
            denser groups at any distance, and leaves to "average" what has at most one.
        threshold: Euclidean distance, above 0 and at most 2; see `linking_distance`. "hdbscan" can do without.
        min_cluster_size: images that a person has at least; the rest belongs to nobody.

    Returns:
        labels int64 [N]: 0 the largest cluster, 1 the next …, and -1 nobody's.

    Raises:
        ValueError: an unknown method, a threshold or a size that cannot be, or scikit-learn, which all but "average"
            need, is not installed.
    """
    find = lookup(METHODS, method, "method")
    if threshold is None and method != "hdbscan":
        raise ValueError(f"The method {method} got no threshold; pass a distance, such as linking_distance's.")
    if not 0 < (ALONE if threshold is None else threshold) <= 2 or min_cluster_size < 1:
        raise ValueError(f"threshold {threshold} and min_cluster_size {min_cluster_size}: expected a distance of unit "
                         "rows, above 0 and at most 2, and at least 1.")
    if len(embeddings) < 2:
        return np.full(len(embeddings), 0 if min_cluster_size == 1 else NOBODY)
    try:
        found = find(np.asarray(embeddings, np.float32), threshold, min_cluster_size)
    except ImportError:
        raise ValueError(f"The method {method} needs scikit-learn: pip install 'tf_facenet[sklearn]'") from None
    return _by_size(found)


def _by_size(labels):
    """The same clusters, numbered from the largest to the smallest; equal ones in the order of their first images."""
    numbers, first, counts = np.unique(labels, return_index=True, return_counts=True)
    people = np.flatnonzero(numbers >= 0)
    order = people[np.lexsort((first[people], -counts[people]))]
    places = np.full(len(numbers), NOBODY)
    places[order] = np.arange(len(order))
    return places[np.searchsorted(numbers, labels)]
