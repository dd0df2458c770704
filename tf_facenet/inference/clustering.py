"""Groups of images that show one person each, without knowing anybody."""

import numpy as np

from tf_facenet.lookup import lookup

NOBODY = -1  # label of what belongs to no cluster


def _dbscan(threshold, min_cluster_size):
    from sklearn.cluster import DBSCAN

    return DBSCAN(eps=threshold, min_samples=min_cluster_size)


def _hdbscan(threshold, min_cluster_size):
    from sklearn.cluster import HDBSCAN

    return HDBSCAN(min_cluster_size=max(2, min_cluster_size), copy=True)


METHODS = {"dbscan": _dbscan, "hdbscan": _hdbscan}


def cluster(embeddings, method="dbscan", threshold=1.0, min_cluster_size=1):
    """Number the people that embeddings show (facenet's contributed/cluster.py; MIT).

    Args:
        embeddings: [N, D], rows of norm 1.
        method: "dbscan" joins all that is linked by distances below the threshold; "hdbscan" looks for denser groups
            at any distance and takes no threshold.
        threshold: Euclidean distance, 0..2.
        min_cluster_size: images that a person has at least; the rest belongs to nobody.

    Returns:
        labels int64 [N]: 0 the largest cluster, 1 the next …, and -1 nobody's.

    Raises:
        ValueError: an unknown method, a threshold or a size that cannot be, or scikit-learn is not installed.
    """
    make = lookup(METHODS, method, "method")
    if not 0 < threshold <= 2 or min_cluster_size < 1:
        raise ValueError(f"threshold {threshold} and min_cluster_size {min_cluster_size}: expected a distance of unit "
                         "rows, above 0 and at most 2, and at least 1.")
    if len(embeddings) < 2:
        return np.full(len(embeddings), 0 if min_cluster_size == 1 else NOBODY)
    try:
        found = make(threshold, min_cluster_size).fit_predict(np.asarray(embeddings, np.float32))
    except ImportError:
        raise ValueError("Clustering needs scikit-learn: pip install 'tf_facenet[sklearn]'") from None
    return _by_size(found)


def _by_size(labels):
    """The same clusters, numbered from the largest to the smallest; equal ones in the order of their first images."""
    numbers, first, counts = np.unique(labels, return_index=True, return_counts=True)
    people = np.flatnonzero(numbers >= 0)
    order = people[np.lexsort((first[people], -counts[people]))]
    places = np.full(len(numbers), NOBODY)
    places[order] = np.arange(len(order))
    return places[np.searchsorted(numbers, labels)]
