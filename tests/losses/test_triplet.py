"""Triplet losses against loops over triplets, recorded numbers, and cases on the unit circle."""

import itertools
import resource

import keras
import numpy as np
import pytest
from keras import ops

from tests.gradients import value_and_grad
from tests.losses.test_distances import BY_HAND
from tf_facenet.losses import DISTANCES, MININGS, TripletLoss

# Eight rows of tensorflow-addons 0.23's recorded losses: labels 0 0 1 1 2 2 3 3.
LABELS = np.array([0, 0, 1, 1, 2, 2, 3, 3], "int32")
EMBEDDINGS = np.array([
    [-0.13574702, -0.61971986, 0.3731533, -0.67696136], [0.8125171, 0.23468286, -0.03787605, 0.5322643],
    [-0.5688693, 0.72295696, -0.391649, 0.01822202], [-0.49354175, -0.6806952, -0.5214369, 0.14551382],
    [-0.09952312, 0.55653185, 0.01894455, -0.8246263], [-0.7554681, -0.32189167, 0.23989065, 0.5177898],
    [-0.82275414, 0.07260256, -0.5637042, -0.00649101], [-0.1841271, 0.5504896, 0.43699175, 0.68709296],
], "float32")
ADDONS = {  # distance: mining, soft: (margin 0.2, margin 1)
    "L2": {("semi_hard", False): (0.14494066, 0.937074), ("hard", False): (0.8357511, 1.6357511),
           ("hard", True): (1.0623319, 1.0623319)},
    "squared-L2": {("semi_hard", False): (0.14975303, 0.8134855), ("hard", False): (1.8341813, 2.6341813),
                   ("hard", True): (1.8213413, 1.8213413)},
    "angular": {("semi_hard", False): (0.14059022, 0.9067428), ("hard", False): (1.0170906, 1.8170905),
                ("hard", True): (1.1862893, 1.1862893)},
}
ADDONS_GRADIENTS = {  # margin 0.2
    ("squared-L2", "semi_hard", False): [
        [-0.6579789, 0.03843161, -0.01274008, -0.09598166], [-0.32668203, 0.24753766, -0.26753002, 0.46630538],
        [0, 0, 0, 0], [0.09850466, 0.30930674, 0.13509537, -0.24253504],
        [0.22946782, 0.129905, -0.24556841, -0.42867303], [0.06402381, -0.30006814, 0.04103138, 0.67482674],
        [0.42091283, -0.25203228, 0.11549743, -0.20632476], [0.17175178, -0.17308061, 0.23421437, -0.16761759]],
    ("L2", "hard", False): [
        [-0.12763298, 0.00048894, 0.02113871, -0.1823343], [0.02377032, 0.15236568, -0.00567865, 0.1841256],
        [-0.04624151, 0.00199768, 0.0114533, -0.13028333], [-0.07009087, -0.088219, 0.0702541, 0.04838695],
        [0.03493248, 0.02650029, -0.04419065, -0.0779224], [0.00681527, -0.07109421, -0.04491905, 0.1631371],
        [0.02769262, 0.03141898, -0.10577677, -0.08784067], [0.15075462, -0.05345833, 0.09771898, 0.08273102]],
    ("angular", "hard", True): [
        [-0.13558105, 0.08948006, -0.04118632, -0.07742932], [-0.10787018, 0.12690066, -0.02166529, 0.107173],
        [0.02771146, 0.05571367, 0.05779795, -0.10305561], [0.00869501, -0.07350978, 0.09592871, 0.02937436],
        [0.0908237, -0.01721273, -0.04960356, -0.02371766], [0.09386763, -0.06507967, -0.06133102, 0.12491191],
        [0.04846497, -0.03613827, -0.07428548, -0.09604596], [0.1628606, -0.05520693, 0.07581005, 0.03965917]],
}
EVERY_LOSS = list(itertools.product([*sorted(MININGS)], sorted(DISTANCES), [False, True]))


def circle(*degrees):
    """Unit rows at these angles."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")


def unit_rows(size, width, seed=0):
    rows = np.random.default_rng(seed).standard_normal((size, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")


def value(loss, labels, embeddings):
    return float(loss(labels, embeddings))


def gradient(loss, labels, embeddings):
    return value_and_grad(lambda rows: loss(labels, rows), embeddings)[1][0]


# The reference: loops over anchors, positives and negatives, in float64.

def mined(labels, d, mining):
    """List of (D_ap, D_an)."""
    rows = range(len(labels))
    positives = {a: [p for p in rows if labels[p] == labels[a] and p != a] for a in rows}
    negatives = {a: [n for n in rows if labels[n] != labels[a]] for a in rows}
    if mining == "none":
        return [(d(a, a + 1), d(a, a + 2)) for a in range(0, len(labels), 3)]
    if mining == "hard":
        return [(max([d(a, p) for p in positives[a]], default=0.0), min(d(a, n) for n in negatives[a])) for a in rows]
    if mining == "all":
        return [(d(a, p), d(a, n)) for a in rows for p in positives[a] for n in negatives[a]]
    triplets = []
    for a in rows:
        for p in positives[a]:
            behind = [d(a, n) for n in negatives[a] if d(a, n) > d(a, p)]
            triplets.append((d(a, p), min(behind) if behind else max(d(a, n) for n in negatives[a])))
    return triplets


def reference(labels, embeddings, margin, mining, distance, soft):
    rows = embeddings.astype("float64")
    triplets = mined(labels, lambda i, j: BY_HAND[distance](rows[i], rows[j]), mining)
    x = np.array([near - far for near, far in triplets])
    costs = np.log1p(np.exp(x)) if soft else np.maximum(x + margin, 0)
    return costs[costs > 0].mean() if mining == "all" else costs.mean()


@pytest.mark.parametrize(("mining", "distance", "soft"), EVERY_LOSS)
@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_loops_over_triplets(mining, distance, soft, margin):
    labels = np.array([3, 0, 1, 0, 3, 3, 2, 0, 1, 3, 5, 0], "int32")  # 2 and 5 have no positive
    embeddings = unit_rows(12, 4)
    got = value(TripletLoss(margin, mining, distance, soft), labels, embeddings)
    assert got == pytest.approx(reference(labels, embeddings, margin, mining, distance, soft), rel=2e-6)


@pytest.mark.parametrize(("mining", "distance", "soft"), EVERY_LOSS)
def test_gradients_by_central_differences(mining, distance, soft):
    labels, embeddings = np.array([0, 0, 1, 1, 0, 2], "int32"), unit_rows(6, 3, seed=4)
    got = gradient(TripletLoss(0.5, mining, distance, soft), labels, embeddings)
    expected = np.zeros_like(embeddings)
    for index in np.ndindex(*embeddings.shape):
        step = np.zeros(embeddings.shape)
        step[index] = 1e-6
        sides = [reference(labels, embeddings + sign * step, 0.5, mining, distance, soft) for sign in (1, -1)]
        expected[index] = (sides[0] - sides[1]) / 2e-6
    np.testing.assert_allclose(got, expected, atol=1e-5)


# On the unit circle, where ‖x − y‖² = 2 − 2 cos θ and the angular distance is half of that.

def test_given_triplet_at_90_and_60_degrees():
    """Anchor 0°, positive 90°, negative 60°: D_ap = 2, D_an = 1, so 2 − 1 + 0.2."""
    assert value(TripletLoss(0.2, mining=None), None, circle(0, 90, 60)) == pytest.approx(1.2)
    assert value(TripletLoss(0.2, None, "angular"), None, circle(0, 90, 60)) == pytest.approx(0.7)
    assert value(TripletLoss(0.2, None, "L2"), None, circle(0, 90, 60)) == pytest.approx(2**0.5 - 1 + 0.2)
    assert value(TripletLoss(0.2, None, soft=True), None, circle(0, 90, 60)) == pytest.approx(np.log1p(np.e))
    # The negative on the other side costs nothing: 2 − 4 + 0.2 < 0; the mean is over both.
    assert value(TripletLoss(0.2, None), None, circle(0, 90, 60, 0, 90, 180)) == pytest.approx(0.6)


ROOM = circle(0, 60, 90, 180), np.array([0, 0, 1, 2], "int32")
# Squared distances: 0–60 1, 0–90 2, 0–180 4, 60–90 2 − √3, 60–180 3. One pair, two anchors.


def test_semi_hard_takes_the_nearest_negative_behind_the_positive():
    """Anchor 0°: behind 1 come 2 and 4. Anchor 60°: 90° is before the positive, 180° behind it."""
    embeddings, labels = ROOM
    assert value(TripletLoss(1.5), labels, embeddings) == pytest.approx(((1 - 2 + 1.5) + 0) / 2, rel=1e-6)


def test_semi_hard_without_one_takes_the_farthest():
    """Positives 180° apart: no negative lies behind; the farthest is at 3 of one, 2 of the other."""
    loss = TripletLoss(0.2)
    embeddings, labels = circle(0, 180, 120, 90), np.array([0, 0, 1, 2], "int32")
    assert value(loss, labels, embeddings) == pytest.approx(((4 - 3 + 0.2) + (4 - 2 + 0.2)) / 2, rel=1e-6)


def test_hard_takes_the_farthest_positive_and_the_nearest_negative_of_every_row():
    """Rows without a positive count with D_ap = 0, as in tensorflow-addons."""
    embeddings, labels = ROOM
    near = 2 - 3**0.5  # 60° to 90°
    expected = ((1 - 2 + 1.5) + (1 - near + 1.5) + (0 - near + 1.5) + 0) / 4
    assert value(TripletLoss(1.5, "hard"), labels, embeddings) == pytest.approx(expected, rel=1e-6)


def test_all_is_the_mean_over_active_triplets():
    """Four triplets: 1 − 2, 1 − 4, 1 − (2 − √3), 1 − 3; with margin 1.5 the first and third are active."""
    embeddings, labels = ROOM
    expected = (0.5 + (1 - (2 - 3**0.5) + 1.5)) / 2
    loss, statistics = TripletLoss(1.5, "all").with_statistics(labels, embeddings)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert float(statistics["active_share"]) == pytest.approx(0.5)


def test_gradient_pulls_the_positive_and_pushes_the_negative():
    """∂/∂a = 2(n − p), ∂/∂p = 2(p − a), ∂/∂n = 2(a − n) for squared distances."""
    a, p, n = rows = circle(0, 90, 60)
    np.testing.assert_allclose(gradient(TripletLoss(0.2, None), None, rows),
                               2 * np.stack([n - p, p - a, a - n]), atol=1e-6)


# tensorflow-addons and facenet.

@pytest.mark.parametrize(("distance", "mining", "soft"), [
    (distance, *key) for distance, cases in ADDONS.items() for key in cases])
def test_eight_rows_of_addons(distance, mining, soft):
    for margin, expected in zip((0.2, 1.0), ADDONS[distance][mining, soft], strict=True):
        assert value(TripletLoss(margin, mining, distance, soft), LABELS, EMBEDDINGS) == pytest.approx(
            expected, rel=1e-6)


@pytest.mark.parametrize(("distance", "mining", "soft"), ADDONS_GRADIENTS)
def test_gradients_of_eight_rows_of_addons(distance, mining, soft):
    got = gradient(TripletLoss(0.2, mining, distance, soft), LABELS, EMBEDDINGS)
    np.testing.assert_allclose(got, ADDONS_GRADIENTS[distance, mining, soft], atol=5e-7)


def test_all_recorded_losses_of_addons(shared):
    data = np.load(shared / "reference" / "tfa_triplets.npz")
    names = {"semihard": ("semi_hard", False), "hard": ("hard", False), "hard_soft": ("hard", True)}
    keys = [key.removesuffix("/loss") for key in data.files if key.endswith("/loss")]
    assert len(keys) == 108
    for key in keys:
        case, distance, margin, name = key.split("/")
        loss = TripletLoss(float(margin.removeprefix("margin")), names[name][0], distance, names[name][1])
        labels = data[f"{case}/labels"].astype("int32")
        got, (slopes,) = value_and_grad(lambda rows: loss(labels, rows), data[f"{case}/embeddings"])  # noqa: B023
        np.testing.assert_allclose(got, data[f"{key}/loss"], rtol=1e-6, err_msg=key)
        np.testing.assert_allclose(slopes, data[f"{key}/grad"], atol=5e-7, err_msg=key)


def test_facenets_own_case():
    """facenet's triplet_loss_test: seed 666, 36 rows that are not even normalised."""
    rows = np.random.RandomState(666).uniform(size=(36, 16)).astype("float32")
    assert value(TripletLoss(0.2, None), None, rows) == pytest.approx(1.232516308120, rel=1e-6)


def test_recorded_losses_of_facenet(shared):
    data = np.load(shared / "reference" / "facenet.npz")
    rows = np.stack([data[f"triplet/{name}"] for name in ("anchor", "positive", "negative")], axis=1)
    for alpha in (0.2, 0.5):
        assert value(TripletLoss(alpha, None), None, rows.reshape(-1, rows.shape[-1])) == pytest.approx(
            float(data[f"triplet/loss_alpha{alpha}"]), rel=1e-6)


# What is left when there is little to mine.

@pytest.mark.parametrize(("mining", "distance", "soft"), [case for case in EVERY_LOSS if case[0] != "none"])
@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [5, 5, 5, 5], [7]], ids=["no positive", "no negative", "one row"])
def test_nothing_to_mine_costs_nothing(mining, distance, soft, labels):
    loss, labels, rows = TripletLoss(0.2, mining, distance, soft), np.array(labels, "int32"), unit_rows(len(labels), 3)
    got, (slopes,) = value_and_grad(lambda rows: loss(labels, rows), rows)
    assert got == 0
    np.testing.assert_array_equal(slopes, 0)
    _, statistics = loss.with_statistics(labels, rows)
    assert np.isfinite([float(statistic) for statistic in statistics.values()]).all()
    assert float(statistics["active_share"]) == 0


@pytest.mark.parametrize(("mining", "distance", "soft"), EVERY_LOSS)
def test_collapse_is_finite_and_shows(mining, distance, soft):
    """All embeddings in one point: every triplet costs the margin, and nothing pulls them apart."""
    loss, labels = TripletLoss(0.3, mining, distance, soft), np.array([0, 0, 1, 1, 2, 2], "int32")
    rows = np.tile(circle(30), (6, 1))
    got, (slopes,) = value_and_grad(lambda rows: loss(labels, rows), rows)
    assert got == pytest.approx(np.log(2) if soft else 0.3, abs=1e-6)
    np.testing.assert_allclose(slopes, 0, atol=1e-6)
    _, statistics = loss.with_statistics(labels, rows)
    assert float(statistics["active_share"]) == pytest.approx(0.5 if soft else 1)
    assert float(statistics["positive_distance"]) == pytest.approx(0, abs=1e-6)
    assert float(statistics["negative_distance"]) == pytest.approx(0, abs=1e-6)


def test_negatives_at_one_distance_share_the_gradient():
    """As the gradient of a minimum does; two copies of one face are the usual cause."""
    rows, labels = circle(0, 60, 90, 90), np.array([0, 0, 1, 2], "int32")
    for mining in ("semi_hard", "hard"):
        slopes = gradient(TripletLoss(1.5, mining), labels, rows)
        np.testing.assert_allclose(slopes[2], slopes[3], rtol=1e-6)
        assert np.abs(slopes[2]).sum() > 0.1


def test_statistics_are_means_of_pairs():
    embeddings, labels = ROOM
    for mining in ("semi_hard", "hard", "all"):
        _, statistics = TripletLoss(1.5, mining).with_statistics(labels, embeddings)
        assert float(statistics["positive_distance"]) == pytest.approx(1, rel=1e-6)
        # 0–90 2, 0–180 4, 60–90 2 − √3, 60–180 3, 90–180 2
        assert float(statistics["negative_distance"]) == pytest.approx((13 - 3**0.5) / 5, rel=1e-6)
    _, statistics = TripletLoss(0.2, None).with_statistics(None, circle(0, 90, 60))
    assert [float(statistics[name]) for name in ("active_share", "positive_distance", "negative_distance")] == (
        pytest.approx([1, 2, 1]))


def test_softplus_does_not_overflow():
    """log(1 + eˣ) of tensorflow-addons is infinite from x = 89 on."""
    rows = 10 * circle(0, 180, 1)
    assert value(TripletLoss(0.2, None, soft=True), None, rows) == pytest.approx(400, rel=1e-3)
    assert np.isfinite(gradient(TripletLoss(0.2, None, soft=True), None, rows)).all()


@pytest.mark.parametrize(("mining", "distance", "soft"), EVERY_LOSS)
def test_float32_from_bfloat16_and_labels_in_any_shape(mining, distance, soft):
    loss, labels = TripletLoss(0.2, mining, distance, soft), np.array([0, 0, 1, 1, 0, 2], "int32")
    half = ops.cast(unit_rows(6, 4), "bfloat16")
    got = loss(labels[:, None], half)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    assert float(got) == value(loss, labels, ops.cast(half, "float32"))


@pytest.mark.parametrize("mining", ["semi_hard", "hard", "all"])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32"])
def test_labels_of_any_kind(mining, dtype):
    loss = TripletLoss(0.2, mining)
    assert value(loss, LABELS.astype(dtype), EMBEDDINGS) == value(loss, LABELS, EMBEDDINGS)


@pytest.mark.parametrize("mining", ["semi_hard", "hard", "all"])
def test_order_of_rows_does_not_matter(mining):
    labels, rows = np.repeat(np.arange(5, dtype="int32"), 4), unit_rows(20, 4)
    order, loss = np.random.default_rng(0).permutation(20), TripletLoss(0.5, mining)
    assert value(loss, labels[order], rows[order]) == pytest.approx(value(loss, labels, rows), rel=1e-6)
    np.testing.assert_allclose(gradient(loss, labels[order], rows[order]), gradient(loss, labels, rows)[order],
                               atol=1e-6)


@pytest.mark.parametrize(("mining", "soft"), [("semi_hard", False), ("hard", True), ("all", False), ("all", True)])
def test_facenets_batch_of_1800_rows_fits(mining, soft):
    """One matrix of all its triplets would be 23 GB."""
    labels, rows = np.repeat(np.arange(45, dtype="int32"), 40), unit_rows(1800, 128)
    loss = TripletLoss(0.2, mining, soft=soft)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slopes = gradient(loss, labels, rows)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20 < 1.5  # GiB
    assert np.abs(slopes).max() > 0


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.function")
@pytest.mark.parametrize("mining", sorted(MININGS))
@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_a_graph_of_any_batch_size(mining, jit_compile):
    import tensorflow as tf

    loss = TripletLoss(0.5, mining)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 4])], jit_compile=jit_compile)
    def step(labels, rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            cost = loss(labels, rows)
        return cost, tape.gradient(cost, rows)

    for size in (12, 15):
        labels, rows = np.arange(size) % 4, unit_rows(size, 4, seed=size)
        cost, slopes = step(labels, rows)
        assert float(cost) == pytest.approx(value(loss, labels, rows), rel=1e-6)
        np.testing.assert_allclose(slopes, gradient(loss, labels, rows), atol=1e-6)


@pytest.mark.parametrize("margin", [0, -0.2, float("nan")])
def test_margin_must_be_above_zero(margin):
    with pytest.raises(ValueError, match=r"margin is .*; it must be above 0.*facenet's is 0.2"):
        TripletLoss(margin)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="Unknown mining 'easy'. Choose one of: all, hard, none, semi_hard"):
        TripletLoss(mining="easy")
    with pytest.raises(ValueError, match="Unknown distance 'cosine'. Choose one of: L2, angular, squared-L2"):
        TripletLoss(distance="cosine")


def test_given_rows_come_in_threes():
    with pytest.raises(ValueError, match="got 4 rows.*multiple of 3"):
        TripletLoss(mining=None)(None, unit_rows(4, 3))
