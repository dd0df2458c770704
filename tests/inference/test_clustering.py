import numpy as np
import pytest

from tests.inference.test_gallery import people, unit
from tf_facenet.inference import linkage
from tf_facenet.inference.clustering import cluster, linking_distance
from tf_facenet.inference.linkage import average_linkage


def around(degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def near_one_centre(count, noise=0.3, width=64):
    rng = np.random.default_rng(count)
    return unit(unit(rng.standard_normal((1, width))) + noise * unit(rng.standard_normal((count, width))))


def test_dbscan_links_below_the_threshold_at_known_angles():
    # Chords of 5 and 12 degrees are 0.087 and 0.209; the pair at 90 degrees comes first but is smaller.
    rows = around([90, 95, 0, 5, 10, 22, 180])
    assert cluster(rows, "dbscan", 0.1).tolist() == [1, 1, 0, 0, 0, 2, 3]
    assert cluster(rows, "dbscan", 0.21).tolist() == [1, 1, 0, 0, 0, 0, 2]
    assert cluster(rows, "dbscan", 0.1, min_cluster_size=2).tolist() == [1, 1, 0, 0, 0, -1, -1]


def test_average_linkage_at_known_angles():
    """Squared chords are 2 - 2 cos: 0 and 6 degrees are 0.1047 apart; 13 is 0.1221 from 6, but from both of them
    √((0.2264² + 0.1221²) / 2) = 0.1819. A chain is not followed, as linking would do.
    """
    rows = around([0, 6, 13, 90])
    assert cluster(rows, threshold=0.104).tolist() == [0, 1, 2, 3]
    assert cluster(rows, threshold=0.181).tolist() == [0, 0, 1, 2]
    assert cluster(rows, threshold=0.183).tolist() == [0, 0, 0, 1]
    assert cluster(rows, threshold=0.181, min_cluster_size=2).tolist() == [0, 0, -1, -1]
    assert cluster(rows, "dbscan", 0.123).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("limit", [0.4, 0.8, 1.1, 1.3])
def test_average_linkage_is_that_of_all_distances(limit, monkeypatch):
    """SciPy makes the matrix of all distances, which this does without."""
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    monkeypatch.setattr(linkage, "CHUNK", 50)
    rows, _ = people(count=40, each=8, decay=1.0)
    found = average_linkage(rows, limit)
    expected = hierarchy.fcluster(hierarchy.linkage(rows.astype(float), "average", "sqeuclidean"), limit**2, "distance")
    np.testing.assert_array_equal(found[:, None] == found, expected[:, None] == expected)


def test_images_that_differ_by_rounding_alone():
    """Products of equal distances differ in the last digit, so that the nearest of the nearest can run in a circle."""
    rows = np.concatenate([near_one_centre(60, noise=1e-7), -near_one_centre(60, noise=0)])
    labels = cluster(rows, threshold=0.5)
    assert labels.tolist() == [0] * 60 + [1] * 60


@pytest.mark.parametrize("rows", [np.repeat(near_one_centre(1), 20, axis=0), near_one_centre(4), near_one_centre(2)],
                         ids=["twenty equal", "four", "two"])
@pytest.mark.parametrize("method", ["average", "dbscan", "hdbscan"])
def test_one_person_is_one_cluster(rows, method):
    for size in (1, 2, len(rows)):
        assert cluster(rows, method, 0.6, size).tolist() == [0] * len(rows)
    assert cluster(rows, method, 0.6, len(rows) + 1).tolist() == [-1] * len(rows)


def test_hdbscan_without_a_threshold():
    """It makes no people of strangers, nor parts of a person who is alone with them."""
    strangers = unit(np.random.default_rng(0).standard_normal((12, 64)))
    assert cluster(strangers, "hdbscan", min_cluster_size=2).tolist() == [-1] * 12
    together = np.concatenate([strangers, near_one_centre(20)])
    assert cluster(together, "hdbscan", min_cluster_size=5).tolist() == [-1] * 12 + [0] * 20


@pytest.mark.parametrize(("method", "threshold", "size"), [
    ("average", 0.7, 1), ("dbscan", 0.5, 1), ("hdbscan", 0.5, 5)])
def test_people(method, threshold, size):
    rows, names = people(count=6, each=20)
    labels = cluster(rows, method, threshold, size)
    assert sorted(set(labels) - {-1}) == list(range(6))
    assert all(len(set(labels[start:start + 20]) - {-1}) == 1 for start in range(0, 120, 20))


def test_few_images():
    assert cluster(np.zeros((0, 4)), threshold=1).tolist() == []
    assert cluster(np.eye(4)[:1], threshold=1).tolist() == [0]
    assert cluster(np.eye(4)[:1], threshold=1, min_cluster_size=2).tolist() == [-1]


@pytest.mark.parametrize("settings", [{"threshold": 0}, {"threshold": 2.5}, {"threshold": np.nan},
                                      {"threshold": 1, "min_cluster_size": 0}])
def test_settings_that_cannot_be(settings):
    with pytest.raises(ValueError, match="expected a distance of unit rows"):
        cluster(np.eye(3), **settings)


def test_unknown_method():
    with pytest.raises(ValueError, match="Unknown method 'kmeans'. Choose one of: average, dbscan, hdbscan"):
        cluster(np.eye(3), "kmeans")


def test_a_distance_is_needed():
    with pytest.raises(ValueError, match="method average got no threshold"):
        cluster(np.eye(3))


def test_distances_for_linking_follow_the_threshold():
    assert linking_distance(1.0, "average") > linking_distance(1.0, "dbscan")  # which follows chains
    assert linking_distance(0.5, "dbscan") == 0.5 * linking_distance(1.0, "dbscan")
    assert linking_distance(2.0, "average") <= 2
