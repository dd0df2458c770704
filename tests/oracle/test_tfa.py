"""Triplet losses beside tensorflow-addons itself, live, on batches that are new in every run.

tensorflow-addons cannot be imported with the TensorFlow of this package: it runs in a second
environment, as a process of its own. ``ORACLE_SEED=…`` repeats a run.
"""

import os
import pathlib
import secrets
import subprocess

import numpy as np
import pytest

from tests.gradients import value_and_grad
from tf_facenet.losses import DISTANCES, TripletLoss

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-oracle" / "bin" / "python"
LOSSES = {"semi_hard": ("semi_hard", False), "hard": ("hard", False), "hard_soft": ("hard", True)}
SHAPES = {  # rows, width, people
    "pairs": (8, 4, 4), "circle": (12, 2, 3), "lonely": (24, 8, 16), "two": (20, 3, 2), "wide": (60, 128, 12),
    "large": (96, 64, 8)}
# Where two distances differ by rounding alone, which of them is the nearer is not defined; such
# batches are drawn again. Float32 rounds these distances to 3e-7.
CLEAR = 1e-6
# The gradient of a distance d is off by that rounding over 2 d²: rows as near as this are drawn again too.
APART = 2.5e-3  # d²


def is_clear(labels, embeddings, margin):
    """Whether no choice among triplets, kink of the hinge or direction of a gradient hangs on the last bits."""
    rows = embeddings.astype("float64")
    squared = np.square(rows[:, None] - rows).sum(axis=-1)
    same = labels[:, None] == labels
    itself = np.eye(len(labels), dtype=bool)
    if squared[~itself].min() < APART:
        return False
    for distances in (squared, np.sqrt(squared), squared / 2):
        ordered = np.sort(np.where(itself, np.inf, distances), axis=1)[:, :-1]
        if np.diff(ordered, axis=1).min() < CLEAR:
            return False
        x = distances[:, :, None] - distances[:, None, :] + margin
        if np.abs(x[(same & ~itself)[:, :, None] & ~same[:, None, :]]).min() < CLEAR:
            return False
    return True


def draw(rng, size, width, people):
    """Unit rows around their people, more or less near; every person has at least one row."""
    while True:
        labels = rng.permutation(np.concatenate([np.arange(people), rng.integers(0, people, size - people)]))
        spread = rng.uniform(0.3, 2)
        rows = rng.standard_normal((people, width))[labels] + spread * rng.standard_normal((size, width))
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")
        margin = np.float32(rng.uniform(0.1, 1.5))
        pairs = len(labels) > len(np.unique(labels))
        if pairs and is_clear(labels, rows, margin):
            return {"labels": labels.astype("int32"), "embeddings": rows, "margin": margin}


@pytest.fixture(scope="module")
def seed():
    return int(os.environ.get("ORACLE_SEED", secrets.randbits(32)))


@pytest.fixture(scope="module")
def batches(seed):
    rng = np.random.default_rng(seed)
    return {name: draw(rng, *shape) for name, shape in SHAPES.items()}


@pytest.fixture(scope="module")
def oracle(batches, seed, tmp_path_factory):
    """What tensorflow-addons makes of the batches."""
    if not PYTHON.exists():
        pytest.skip(f"needs tensorflow-addons in an environment of its own: {PYTHON} (make oracle)")
    folder = tmp_path_factory.mktemp("oracle")
    np.savez(folder / "batches.npz", **{
        f"{name}/{part}": array for name, batch in batches.items() for part, array in batch.items()})
    script = pathlib.Path(__file__).with_name("tfa_losses.py")
    done = subprocess.run(
        [PYTHON, script, folder / "batches.npz", folder / "losses.npz"], capture_output=True, text=True,
        timeout=600, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""})
    assert done.returncode == 0, f"ORACLE_SEED={seed}\n{done.stderr}"
    return np.load(folder / "losses.npz")


def test_it_is_tensorflow_addons(oracle):
    assert oracle["versions"].tolist() == ["2.15.1", "0.23.0"]


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("distance", sorted(DISTANCES))
@pytest.mark.parametrize("name", LOSSES)
def test_value_and_gradient(oracle, batches, seed, case, distance, name):
    batch, (mining, soft) = batches[case], LOSSES[name]
    loss = TripletLoss(float(batch["margin"]), mining, distance, soft)
    value, (gradient,) = value_and_grad(lambda rows: loss(batch["labels"], rows), batch["embeddings"])
    hint = f"ORACLE_SEED={seed} repeats this; margin {batch['margin']}"
    np.testing.assert_allclose(value, oracle[f"{case}/{distance}/{name}/loss"], rtol=3e-6, atol=1e-7, err_msg=hint)
    np.testing.assert_allclose(gradient, oracle[f"{case}/{distance}/{name}/grad"], rtol=1e-5, atol=5e-6, err_msg=hint)
