"""Distances, grids and rates one by one, on cases worked out by hand."""

import math

import numpy as np
import pytest

from tf_facenet.evaluation import metrics, rates


def at_angles(*degrees):
    """Unit vectors [N, 2] at the given angles."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_distances_at_known_angles():
    rows = at_angles(0, 0, 0, 60, 10, 100, 0, 180)
    assert metrics.pair_distances(rows) == pytest.approx(np.array([[0, 1, 2, 4]]), abs=1e-12)
    angular = metrics.pair_distances(3 * rows, "cosine")
    assert angular == pytest.approx(np.array([[0, 1 / 3, 1 / 2, 1]]), abs=1e-7)


def test_angle_of_a_zero_vector_is_a_right_angle():
    assert metrics.pair_distances(np.array([[0.0, 0], [1, 0]]), "cosine") == 0.5


def test_angles_after_each_mean():
    rng = np.random.default_rng(0)
    rows, means = rng.standard_normal((12, 5)) + 2, rng.standard_normal((3, 5)) + 2
    for mean, distances in zip(means, metrics.pair_distances(rows, "cosine", means), strict=True):
        assert distances == pytest.approx(metrics.pair_distances(rows - mean, "cosine")[0])


def test_chunks_do_not_change_the_result(monkeypatch):
    rows = np.random.default_rng(0).standard_normal((26, 4)).astype(np.float32)
    folds = np.arange(13) % 3

    def measure():
        means = metrics.training_means(rows, folds)
        return np.concatenate([metrics.pair_distances(rows, "cosine", means).ravel(),
                               means.ravel()])

    whole = measure()
    monkeypatch.setattr(metrics, "CHUNK_VALUES", 8)
    assert measure() == pytest.approx(whole, abs=1e-12)


def test_training_means_are_those_of_the_other_folds():
    rows = np.random.default_rng(0).standard_normal((26, 4))
    folds = np.arange(13) % 3
    for fold, mean in enumerate(metrics.training_means(rows, folds)):
        assert mean == pytest.approx(rows[np.repeat(folds != fold, 2)].mean(axis=0))


def test_squared_norms_are_not_finite_where_a_row_is_not():
    rows = np.ones((6, 3), np.float32)
    rows[1, 2], rows[4] = np.nan, np.inf
    assert np.isfinite(metrics.squared_norms(rows)).tolist() == [True, False, True, True, False, True]
    assert metrics.squared_norms(rows)[0] == 3


@pytest.mark.parametrize("step", [metrics.ACCURACY_STEP, metrics.VAL_STEP])
def test_grid_is_facenets_up_to_unit_norm(step):
    facenets = np.arange(0, 4, step)
    assert np.array_equal(metrics.threshold_grid(step, 3.9), facenets)
    longer = metrics.threshold_grid(step, 8.0)
    assert np.array_equal(longer[:len(facenets)], facenets)


@pytest.mark.parametrize(("squared_norm", "scale"), [
    (1, 1), (0.9999999, 1), (1.0000001, 1), (2, 1), (1e6, 1),  # unit rows, facenet's of flip concat, long ones
    (0.25, 0.25), (0.02**2, 2.0**-11), (1e-6, 2.0**-20), (0, 1)])
def test_the_grid_is_finer_for_short_rows(squared_norm, scale):
    assert metrics.grid_scale("squared-L2", squared_norm) == scale
    assert metrics.grid_scale("cosine", squared_norm) == 1
    assert metrics.threshold_grid(0.01, 0, scale) == pytest.approx(scale * np.arange(0, 4, 0.01))


def test_threshold_on_all_pairs_accepts_at_most_the_share():
    distances = np.array([0.2, 0.4, 0.6, 0.8, 0.3, 0.5])
    same = np.array([False, False, False, False, True, True])
    # Below 0.4 lie one of the four different pairs and the same pair at 0.3; halfway between is 0.35.
    for far, threshold, accepted in ((0.25, 0.35, 1), (0.49, 0.35, 1), (0.5, 0.55, 2), (0, 0.1, 0), (1e-6, 0.1, 0)):
        assert metrics.threshold_at(distances, same, far) == pytest.approx(threshold)
        assert metrics.false_accepts(distances, same, threshold) == rates.FalseAccepts(accepted, 4)
    # Of three pairs that are equally near only all or none can be accepted.
    assert metrics.threshold_at(np.array([0.4, 0.4, 0.4, 0.6]), np.zeros(4, bool), 0.5) == pytest.approx(0.2)


@pytest.mark.parametrize("farthest", [0, 1, 3.99, 3.9999, 4, 4.0000001, 8, 99.99, 100, 250, 1e9])
def test_grid_passes_the_farthest_pair_and_stays_small(farthest):
    grid = metrics.threshold_grid(metrics.VAL_STEP, farthest)
    assert grid[0] == 0
    assert grid[-1] > farthest
    assert len(grid) <= 100_010


def test_counts_are_strict_and_per_fold():
    distances = np.array([[0.0, 0.01, 0.02, 0.02]])
    same = np.array([True, False, True, False])
    folds = np.array([0, 0, 1, 1])
    counts = metrics.count_accepted(distances, same, folds, metrics.threshold_grid(0.01, 0.02))
    assert counts[..., :4].tolist() == [
        [[[0, 0, 0, 1], [0, 0, 0, 1]], [[0, 0, 1, 1], [0, 1, 1, 1]]],
        [[[0, 0, 1, 1], [0, 1, 1, 1]], [[0, 0, 0, 1], [0, 0, 0, 1]]],
    ]
    assert (counts[..., -1] == 1).all()


def test_accuracy_takes_the_first_of_equal_thresholds():
    grid = metrics.threshold_grid(0.01, 1)
    distances = np.array([[0.105, 0.505, 0.105, 0.505]])
    same, folds = np.array([True, False, True, False]), np.array([0, 0, 1, 1])
    counts = metrics.count_accepted(distances, same, folds, grid)
    accuracies, thresholds = metrics.fold_accuracies(counts, grid)
    assert accuracies.tolist() == [1, 1]
    assert thresholds == pytest.approx([0.11, 0.11])


def test_far_threshold_is_a_linear_step_after_the_last_plateau():
    grid = metrics.threshold_grid(0.001, 1)
    different = np.array([0.2005, 0.4005, 0.6005, 0.8005])
    distances = np.tile(different, 2)[None]
    same, folds = np.zeros(8, bool), np.repeat([0, 1], 4)
    counts = metrics.count_accepted(distances, same, folds, grid)
    # FAR is 1/4 from 0.201 to 0.400 and 2/4 at 0.401: 0.3 is a fifth of the way.
    assert metrics.far_thresholds(counts, grid, 0.3) == pytest.approx([0.4002, 0.4002])
    assert metrics.far_thresholds(counts, grid, 0) == pytest.approx([0.2, 0.2])


def test_far_threshold_without_different_pairs_accepts_nothing():
    grid = metrics.threshold_grid(0.001, 1)
    same, folds = np.array([True, True, False]), np.array([0, 1, 1])
    counts = metrics.count_accepted(np.array([[0.1, 0.2, 0.9]]), same, folds, grid)
    assert metrics.far_thresholds(counts, grid, 0.001)[1] == 0


def test_rates_at_thresholds():
    distances = np.array([0.1, 0.3, 0.2, 0.4, 0.1])
    same = np.array([True, True, False, False, True])
    val, far = metrics.rates_at(distances, same, np.array([0, 0, 0, 0, 1]), np.array([0.3, 0.1]))
    assert val.tolist() == [0.5, 0]
    assert far[0] == 0.5
    assert math.isnan(far[1])


def test_area_and_equal_error_rate_of_hand_made_curves():
    diagonal = np.linspace(0, 1, 5)
    assert metrics.area_under_curve(diagonal, diagonal) == 0.5
    assert metrics.equal_error_rate(diagonal, diagonal) == 0.5
    fpr, tpr = np.array([0, 0, 0.1, 0.4, 1]), np.array([0, 0.6, 0.8, 0.9, 1])
    assert metrics.area_under_curve(fpr, tpr) == pytest.approx(0.07 + 0.255 + 0.57)
    # Between (0.1, 0.8) and (0.4, 0.9), 1 − x = 0.8 + (x − 0.1) / 3 at x = 0.175.
    assert metrics.equal_error_rate(fpr, tpr) == pytest.approx(0.175)
    assert metrics.equal_error_rate(np.array([0, 0, 1]), np.array([0, 1, 1])) == 0
