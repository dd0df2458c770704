"""Distance matrices against a loop over pairs, and at angles that one can check by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.gradients import value_and_grad
from tf_facenet.losses.distances import DISTANCES

BY_HAND = {
    "squared-L2": lambda x, y: sum((x - y) ** 2),
    "L2": lambda x, y: sum((x - y) ** 2) ** 0.5,
    "angular": lambda x, y: 1 - sum(x * y) / (sum(x * x) * sum(y * y)) ** 0.5,
}


def matrix(name, embeddings):
    return ops.convert_to_numpy(DISTANCES[name](embeddings))


@pytest.mark.parametrize(("name", "expected"), [
    ("squared-L2", [0, 2 - 3**0.5, 2, 4]),  # 2 − 2 cos θ on the unit circle
    ("L2", [0, (2 - 3**0.5) ** 0.5, 2**0.5, 2]),  # 2 sin θ/2
    ("angular", [0, 1 - 3**0.5 / 2, 1, 2])])  # 1 − cos θ
def test_angles_of_0_30_90_and_180_degrees(name, expected):
    angles = np.deg2rad([0, 30, 90, 180])
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")
    np.testing.assert_allclose(matrix(name, circle)[0], expected, atol=2e-7)


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_loop_over_pairs(name):
    x = np.random.default_rng(0).standard_normal((9, 5)).astype("float32")
    expected = [[BY_HAND[name](a.astype(float), b.astype(float)) for b in x] for a in x]
    got = matrix(name, x)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got, got.T, atol=1e-6)
    if name != "angular":
        np.testing.assert_array_equal(np.diag(got), 0)


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_leading_axes_are_separate_batches(name):
    x = np.random.default_rng(1).standard_normal((4, 3, 5)).astype("float32")
    np.testing.assert_allclose(matrix(name, x), [matrix(name, part) for part in x], atol=1e-6)


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_gradient_of_two_rows(name):
    """Central differences of the sum of distances, weighted so that every pair counts on its own."""
    rng = np.random.default_rng(2)
    x, weights = rng.standard_normal((4, 3)).astype("float32"), rng.random((4, 4))

    def by_hand(x):
        return sum(weights[i, j] * BY_HAND[name](x[i], x[j]) for i in range(4) for j in range(4) if i != j)

    expected = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        step = np.zeros(x.shape)
        step[index] = 1e-5
        expected[index] = (by_hand(x + step) - by_hand(x - step)) / 2e-5
    off_diagonal = (weights * (1 - np.eye(4))).astype("float32")
    _, (got,) = value_and_grad(lambda x: ops.sum(off_diagonal * DISTANCES[name](x)), x)
    np.testing.assert_allclose(got, expected, atol=2e-5)


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_identical_rows_and_zeros_have_finite_gradients(name):
    x = np.array([[1, 0], [1, 0], [0, 0], [0, 0], [0, 1]], "float32")
    value, (gradient,) = value_and_grad(lambda x: ops.sum(DISTANCES[name](x)), x)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert matrix(name, x)[0, 1] == 0
    # Both rows of zeros are unlike everything under 1 − cos, also each other and themselves.
    np.testing.assert_array_equal(matrix(name, x)[2:4, 2:4], 1.0 if name == "angular" else 0.0)


@pytest.mark.parametrize("name", sorted(DISTANCES))
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_float32_whatever_comes_in(name, dtype):
    x = np.random.default_rng(3).standard_normal((4, 3))
    x = x if dtype == "float64" else ops.cast(x, dtype)  # JAX has no float64 of its own
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        got = DISTANCES[name](x)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    np.testing.assert_array_equal(got, DISTANCES[name](ops.cast(x, "float32")))
