import numpy as np
import pytest

from tf_facenet.align import boxes as box


def some(count, seed=0):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 100, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(1, 60, (count, 2))], axis=1), rng.permutation(count) / count


def overlap(a, b, of):
    """By the definition, for two boxes."""
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    common = max(width, 0) * max(height, 0)
    first, second = ((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return common / (min(first, second) if of == "smaller" else first + second - common)


@pytest.mark.parametrize("of", ["union", "smaller"])
def test_overlaps(of):
    one, other = some(20)[0], some(15, seed=1)[0]
    expected = [[overlap(a, b, of) for b in other] for a in one]
    np.testing.assert_allclose(box.overlaps(one, other, of), expected)


def test_overlaps_of_known_boxes():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [2, 2, 4, 4], [20, 20, 30, 30], [9, 9, 1, 1]], float)
    np.testing.assert_allclose(box.overlaps(boxes[:1], boxes), [[1, 1 / 3, 0.04, 0, 0]])
    np.testing.assert_allclose(box.overlaps(boxes[:1], boxes[:4], "smaller"), [[1, 0.5, 1, 0]])


@pytest.mark.parametrize("of", ["union", "smaller"])
def test_suppress(of):
    boxes, scores = some(700)  # more than are compared at a time
    groups = np.random.default_rng(2).integers(0, 2, len(boxes))
    groups[:20] = 7
    kept = box.suppress(boxes, scores, groups, 0.3, of)
    better = (groups == groups[:, None]) & (scores > scores[:, None])  # [i, j]: j is better than i
    over = box.overlaps(boxes, boxes, of)
    expected = [i for i in range(len(boxes)) if not over[i, better[i]].max(initial=0) > 0.3]
    assert sorted(kept) == expected
    assert kept.tolist() == sorted(kept, key=lambda i: (groups[i], -scores[i]))


def test_suppress_nothing():
    assert box.suppress(np.empty((0, 4)), np.empty(0), np.empty(0, int), 0.5).tolist() == []


def test_a_box_gives_way_to_one_that_is_suppressed_itself():
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], float)
    assert box.suppress(boxes, np.array([0.9, 0.8, 0.7]), np.zeros(3), 0.4).tolist() == [0]


def test_move_and_square():
    boxes = np.array([[10, 20, 29, 59]], float)
    np.testing.assert_allclose(box.move(boxes, np.array([[0.1, -0.1, 0.5, 0]])), [[12, 16, 39, 59]])
    np.testing.assert_allclose(box.square(boxes), [[0, 20, 39, 59]])
