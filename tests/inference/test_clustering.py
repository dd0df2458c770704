import numpy as np
import pytest

from tests.inference.test_gallery import people
from tf_facenet.inference.clustering import cluster


def around(degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_links_below_the_threshold_at_known_angles():
    # Chords of 5 and 12 degrees are 0.087 and 0.209; the pair at 90 degrees comes first but is smaller.
    rows = around([90, 95, 0, 5, 10, 22, 180])
    assert cluster(rows, threshold=0.1).tolist() == [1, 1, 0, 0, 0, 2, 3]
    assert cluster(rows, threshold=0.21).tolist() == [1, 1, 0, 0, 0, 0, 2]
    assert cluster(rows, threshold=0.1, min_cluster_size=2).tolist() == [1, 1, 0, 0, 0, -1, -1]


@pytest.mark.parametrize(("method", "size"), [("dbscan", 1), ("hdbscan", 5)])
def test_people(method, size):
    rows, names = people(count=6, each=20)
    labels = cluster(rows, method, threshold=0.5, min_cluster_size=size)
    assert sorted(set(labels) - {-1}) == list(range(6))
    assert all(len(set(labels[start:start + 20]) - {-1}) == 1 for start in range(0, 120, 20))


def test_few_images():
    assert cluster(np.zeros((0, 4))).tolist() == []
    assert cluster(np.eye(4)[:1]).tolist() == [0]
    assert cluster(np.eye(4)[:1], min_cluster_size=2).tolist() == [-1]


@pytest.mark.parametrize("settings", [{"threshold": 0}, {"threshold": 2.5}, {"min_cluster_size": 0}])
def test_settings_that_cannot_be(settings):
    with pytest.raises(ValueError, match="expected a distance of unit rows"):
        cluster(np.eye(3), **settings)


def test_unknown_method():
    with pytest.raises(ValueError, match="Unknown method 'kmeans'. Choose one of: dbscan, hdbscan"):
        cluster(np.eye(3), "kmeans")
