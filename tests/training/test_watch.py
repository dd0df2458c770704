"""The loss of an untrained network, and when the watch speaks up."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from tf_facenet import heads
from tf_facenet.training import watch


@pytest.mark.parametrize(("name", "options", "expected"), [
    ("cosface", {"margin": 0.0}, 12.7), ("cosface", {"margin": 0.4}, 38.3), ("arcface", {}, 43.4)])
def test_simulated_losses_of_ten_thousand_classes(name, options, expected):
    """Random 512-d directions, s = 64, C = 10,575, simulated independently with its own spread."""
    keras.utils.set_random_seed(0)
    head = heads.create(name, 10_575, 512, **options)
    assert watch.expected_loss(head, 512, num_samples=200) == pytest.approx(expected, abs=1.2)


def test_softmax_begins_near_the_logarithm():
    assert watch.expected_loss(heads.create("softmax", 1000, 32), 32) == pytest.approx(math.log(1000), abs=0.3)


def test_a_sample_has_its_share_of_the_denominator():
    whole = heads.create("cosface", 400, 64, scale=8.0, margin=0.0)
    part = heads.create("cosface", 400, 64, scale=8.0, margin=0.0, sample_rate=0.25)
    part.centers.assign(ops.convert_to_numpy(whole.centers))
    difference = watch.expected_loss(whole, 64) - watch.expected_loss(part, 64)
    assert difference == pytest.approx(math.log(4), abs=1e-4)


def steps(last, xent, count=10):
    return [(step, {"xent": xent + 0.01 * np.sin(step)}) for step in range(last - count + 1, last + 1)]


@pytest.mark.parametrize(("xent", "message"), [
    (39.9, "cross-entropy is 39.90; an untrained network has 40.00"),
    (52.0, "an untrained network has 40.00"),
    (69.1, "the targets have no probability left"), (87.3, "the targets have no probability left"),
    (30.0, None)])
def test_the_watch(caplog, xent, message):
    watched = watch.LossWatch(40.0, patience=200)
    watched.see(steps(190, xent))
    assert not caplog.records
    for last in (200, 210):
        watched.see(steps(last, xent))
    assert len(caplog.records) == (message is not None)
    assert message is None or message in caplog.text


def test_a_resumed_run_is_not_warned_again(caplog):
    watch.LossWatch(40.0, patience=200, step=300).see(steps(310, 50.0))
    assert not caplog.records


def test_patience():
    assert [watch.patience(size) for size in (10, 500, 50_000)] == [200, 500, 2000]
