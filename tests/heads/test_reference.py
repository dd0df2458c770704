"""Logits, gradients and states that the original implementations gave (insightface, AdaFace,
CurricularFace, MagFace on PyTorch), and float64 values of the exact formulas."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.gradients import value_and_grad
from tf_facenet import heads

INSIGHTFACE = {"gradient": "straight_through"}
CASES = {
    "arcface_insightface": ("arcface", INSIGHTFACE),
    "cosface_insightface": ("cosface", {"margin": 0.4}),
    "combined_arc_filter": ("arcface", {**INSIGHTFACE, "interclass_filtering_threshold": 0.4}),
    "combined_cos_filter": ("cosface", {"margin": 0.4, "interclass_filtering_threshold": 0.3}),
    "exact_arcface": ("arcface", {}),
    "exact_cosface": ("cosface", {"margin": 0.4}),
    "exact_sphereface": ("sphereface", {"margin": 4}),
    "exact_combined": ("combined", {"m1": 1.0, "m2": 0.3, "m3": 0.2}),
}


@pytest.fixture(scope="module")
def recorded(shared):
    return np.load(shared / "reference" / "heads.npz", allow_pickle=False)


def create(name, recorded, **options):
    head = heads.create(name, 40, 16, **options)
    head.centers.assign(recorded["centers"])
    return head


def assert_logits(logits, expected, recorded):
    """1e-4 of the scale; three targets lie nearer to their centres than float32 cosines can tell.

    There 1 − cos θ is 1e-7 to 3e-7, a few units in the last place; one unit is up to 5e-4 radians.
    """
    labels = recorded["labels"]
    difference = np.abs(ops.convert_to_numpy(logits) - expected) / np.abs(expected).max()
    features, own = recorded["embeddings"].astype(float), recorded["centers"][labels].astype(float)
    cosine = np.sum(features * own, 1) / np.linalg.norm(features, axis=1) / np.linalg.norm(own, axis=1)
    limit = np.full(difference.shape, 1e-4)
    limit[np.arange(len(labels)), labels] = np.where(1 - cosine < 3e-7, 5e-4, 1e-4)
    assert np.sum(limit > 1e-4) == 3
    assert (difference < limit).all()


@pytest.mark.parametrize("case", CASES)
def test_logits_loss_and_gradients(case, recorded):
    name, options = CASES[case]
    head = create(name, recorded, **options)
    labels = recorded["labels"].astype("int32")
    assert_logits(head(recorded["embeddings"], labels)[0], recorded[f"{case}/logits"], recorded)

    def loss(features, centers):
        with keras.StatelessScope(state_mapping=[(head.centers, centers)]):
            logits, targets = head(features, labels)
        return ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))

    value, gradients = value_and_grad(loss, recorded["embeddings"], recorded["centers"])
    assert value == pytest.approx(float(recorded[f"{case}/loss"]), rel=1e-5)
    for gradient, name in zip(gradients, ("grad_embeddings", "grad_centers"), strict=True):
        expected = recorded[f"{case}/{name}"]
        assert np.abs(gradient - expected).max() < 1e-3 * np.abs(expected).max()


def test_adaface_over_three_batches(recorded):
    head = create("adaface", recorded)
    for batch in range(3):
        logits, _ = head(recorded[f"adaface/embeddings_{batch}"], recorded["labels"].astype("int32"), training=True)
        assert_logits(logits, recorded[f"adaface/logits_{batch}"], recorded)
        for statistic in ("mean", "std"):
            value = float(ops.convert_to_numpy(getattr(head.margin, statistic)))
            assert value == pytest.approx(float(recorded[f"adaface/batch_{statistic}_{batch}"][0]), rel=1e-5)


def test_curricularface_over_three_batches(recorded):
    head = create("curricularface", recorded, past_pi="fallback")
    for batch in range(3):
        logits, _ = head(recorded["embeddings"], recorded["labels"].astype("int32"), training=True)
        assert_logits(logits, recorded[f"curricularface/logits_{batch}"], recorded)
        assert float(ops.convert_to_numpy(head.margin.t)) == pytest.approx(
            float(recorded[f"curricularface/t_{batch}"][0]), rel=1e-4)


def test_magface(recorded):
    head = create("magface", recorded, past_pi="fallback")
    logits, targets = head(recorded["embeddings"], recorded["labels"].astype("int32"))
    assert_logits(logits, recorded["magface/logits"], recorded)
    loss = ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))
    assert float(loss) == pytest.approx(float(recorded["magface/loss"]), rel=1e-4)
    penalty = float(head.penalty(recorded["embeddings"])) / head.margin.lambda_g
    assert penalty == pytest.approx(float(recorded["magface/loss_g"]), rel=1e-6)
