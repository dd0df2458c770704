"""The margins by hand: at known angles, and each against NumPy."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from tests.gradients import value_and_grad
from tf_facenet import heads

DEGREE = math.pi / 180
ALL = np.linspace(0.5, 179.5, 359) * DEGREE


def target(margin, theta, norm=20.0):
    """What a margin makes of the cosine of an angle (an array of radians)."""
    theta = np.atleast_1d(theta)
    cosine = np.cos(theta).astype("float32")
    return ops.convert_to_numpy(margin(cosine, np.full(len(theta), norm, "float32")))


@pytest.mark.parametrize(("margin", "degrees", "expected"), [
    (heads.CosFace(0.25), 60, 0.5 - 0.25),
    (heads.ArcFace(math.pi / 6), 60, 0.0),                     # cos(60° + 30°)
    (heads.ArcFace(math.pi / 6), 150, -1.0),                   # cos(150° + 30°)
    (heads.ArcFace(math.pi / 6), 180, -2 - math.cos(7 * math.pi / 6)),
    (heads.SphereFace(2), 60, -0.5),                           # cos 120°
    (heads.SphereFace(2), 90, -1.0),                           # cos 180°
    (heads.SphereFace(4), 180, -7.0),                          # k = 4 at the end: cos 720° - 8
    (heads.SphereFace(1.5), 60, 0.0),                          # cos 90°: m need not be an integer
    (heads.Combined(1.5, math.pi / 12, 0.25), 30, 0.5 - 0.25),  # cos(45° + 15°) - 0.25
    (heads.ArcFace(math.pi / 6, easy_margin=True), 89, math.cos(119 * DEGREE)),
    (heads.ArcFace(math.pi / 6, easy_margin=True), 91, math.cos(91 * DEGREE)),
    (heads.ArcFace(math.pi / 6, past_pi="plain"), 180, math.cos(210 * DEGREE)),
    (heads.ArcFace(math.pi / 6, past_pi="fallback"), 180, -1 - math.pi / 12),
    (heads.CurricularFace(math.pi / 6), 60, 0.0),
    (heads.MagFace(10, 110, math.pi / 6, math.pi / 3), 60, math.cos((60 + 30 + 3) * DEGREE)),
    (heads.AdaFace(0.5), 60, 0.5 - 0.5),                       # the mean norm: z = 0
])
def test_known_angles(margin, degrees, expected):
    assert target(margin, degrees * DEGREE)[0] == pytest.approx(expected, abs=2e-3 if degrees == 180 else 1e-6)


def test_adaface_by_hand():
    """A norm far above the mean gets a cosine margin of 2 m less an angle; far below, an angle."""
    margin = heads.AdaFace(0.3, h=1.0)
    margin.std.assign(10.0)
    assert target(margin, 1.0, norm=90.0)[0] == pytest.approx(math.cos(1.0 - 0.3) - 0.6, abs=1e-6)
    assert target(margin, 1.0, norm=2.0)[0] == pytest.approx(math.cos(1.0 + 0.3), abs=1e-6)


@pytest.mark.parametrize("margin", [
    heads.CosFace(), heads.ArcFace(), heads.SphereFace(4), heads.SphereFace(1.35),
    heads.Combined(1, 0.3, 0.2), heads.Combined(0.9, 0.4, 0.15), heads.CurricularFace(), heads.MagFace()],
    ids=lambda margin: margin.name)
def test_targets_are_continuous_fall_and_lie_below_the_cosine(margin):
    values = target(margin, ALL)
    assert (np.diff(values) < 0).all()
    assert np.abs(np.diff(values)).max() < 0.5 * DEGREE * 4.5  # the slope is at most m1
    assert (values <= np.cos(ALL) + 1e-6).all()


@pytest.mark.parametrize(("one", "other"), [
    (heads.Combined(1, 0.5, 0), heads.ArcFace(0.5)),
    (heads.Combined(1, 0, 0.35), heads.CosFace(0.35)),
    (heads.Combined(1.35, 0, 0), heads.SphereFace(1.35)),
    (heads.ArcFace(0), heads.CosFace(0)),
    (heads.AdaFace(0), heads.CosFace(0))])
def test_identities(one, other):
    theta = ALL[5:-5]  # AdaFace clips nearer to the ends
    np.testing.assert_allclose(target(one, theta), target(other, theta), atol=2e-6)


def test_no_margin_is_the_scaled_cosine():
    head = heads.create("arcface", 3, 2, margin=0.0, scale=10.0)
    head.centers.assign([[2, 0], [0, 3], [-1, 0]])
    logits, _ = head(np.array([[3, 4]], "float32"), np.array([1], "int32"))
    np.testing.assert_allclose(ops.convert_to_numpy(logits), [[6, 8, -6]], rtol=1e-5)


def test_straight_through_has_the_gradient_of_the_cosine():
    cosine = np.cos(ALL).astype("float32")
    norm = np.ones_like(cosine)
    margin = heads.ArcFace(0.5, gradient="straight_through")
    _, (slope,) = value_and_grad(lambda c: ops.sum(margin(c, norm)), cosine)
    np.testing.assert_allclose(slope, 1.0, rtol=1e-6)
    np.testing.assert_allclose(target(margin, ALL), np.cos(ALL + 0.5), atol=1e-5)


def test_the_exact_gradient():
    """d cos(θ + m) / d cos θ = sin(θ + m) / sin θ."""
    theta = ALL[20:280]
    cosine, norm = np.cos(theta).astype("float32"), np.ones(len(theta), "float32")
    _, (slope,) = value_and_grad(lambda c: ops.sum(heads.ArcFace(0.5)(c, norm)), cosine)
    np.testing.assert_allclose(slope, np.sin(theta + 0.5) / np.sin(theta), rtol=1e-4, atol=1e-4)


def test_annealing():
    """λ = max(5, 1500 / (1 + 0.1 t)) for the t-th batch; the target is (λ cos θ + ψ) / (1 + λ)."""
    margin = heads.SphereFace(2, annealing=True)
    cosine = np.array([0.5], "float32")
    for t in (1, 2, 3):
        value = float(ops.convert_to_numpy(margin(cosine, cosine, training=True))[0])
        strength = 1500 / (1 + 0.1 * t)
        assert value == pytest.approx((strength * 0.5 - 0.5) / (1 + strength), abs=1e-6)
    margin.batches.assign(1e6)
    assert float(ops.convert_to_numpy(margin(cosine, cosine))[0]) == pytest.approx((5 * 0.5 - 0.5) / 6)


def test_curricular_hard_negatives():
    """t = 0.99 · 0 + 0.01 · mean cos θ; wrong classes above cos(θ + m) become c (t + c)."""
    head = heads.create("curricularface", 3, 2, margin=math.pi / 6, scale=1.0)
    head.centers.assign([[1, 0], [0, 1], [-1, 0]])
    feature = np.array([[math.cos(math.pi / 3), math.sin(math.pi / 3)]], "float32")
    logits, _ = head(feature, np.array([0], "int32"), training=True)
    c, t = math.sin(math.pi / 3), 0.01 * 0.5
    np.testing.assert_allclose(ops.convert_to_numpy(logits), [[0, c * (t + c), -0.5]], atol=1e-6)


def test_magface_penalty():
    """λ · mean(a / u² + 1 / a), norms clipped to [l, u]."""
    margin = heads.MagFace(10, 110, lambda_g=2.0)
    norm = np.array([5.0, 40.0, 200.0], "float32")
    a = np.array([10.0, 40.0, 110.0])
    assert float(margin.penalty(norm)) == pytest.approx(2 * np.mean(a / 110**2 + 1 / a), rel=1e-6)
    assert float(heads.ArcFace().penalty(norm)) == 0


def test_a_margin_of_ones_own():
    class Half(heads.Margin):
        """Half of the cosine."""

        def target(self, cosine, **_):
            return cosine / 2

    head = heads.CosineHead(2, Half(), scale=2.0)
    head.build((None, 2))
    head.centers.assign(np.eye(2))
    logits, _ = head(np.eye(2, dtype="float32"), np.array([0, 1], "int32"))
    np.testing.assert_allclose(ops.convert_to_numpy(logits), np.eye(2), atol=1e-6)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
