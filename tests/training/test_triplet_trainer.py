"""Training by triplets: batches of people, terms by hand, replicas, and the guard against a collapse."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from tests import tiny
from tests.loops import BATCH, CLASSES, STEPS, WIDTH, Recorder, assert_same, batches
from tf_facenet import heads, losses
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import distribution, optimizers
from tf_facenet.training.loop import Loop, Stop
from tf_facenet.training.triplet_trainer import TripletTrainer
from tf_facenet.training.watch import CollapseWatch


def make_trainer(mining="semi_hard", head_factor=0.0, **options):
    head = heads.create("softmax", CLASSES, WIDTH) if head_factor else None
    return TripletTrainer(tiny.create(16, WIDTH), losses.TripletLoss(0.2, mining), 2, head,
                          head_factor=head_factor, **options)


def train(strategy, **options):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        trainer = make_trainer(weight_decay=1e-3, **options)
        optimizer = optimizers.create(SoftmaxOptions(optimizer="MOM", clip_norm=0.5), 0.05)
    distribution.prepare(trainer, strategy, BATCH)
    loop, hooks = Loop(trainer, optimizer, strategy), Recorder()
    with Stop() as stop:
        loop.run(batches(), STEPS, hooks, stop)
    variables = {role: [numpy(v) for v in vs] for role, vs in loop.state().items()}
    return [terms for steps in hooks.calls for _, terms in steps], variables


@pytest.mark.parametrize("options", [{"mining": "semi_hard"}, {"mining": "hard"}, {"mining": "all"},
                                     {"head_factor": 0.5}], ids=str)
def test_two_replicas_mine_in_the_whole_batch(two_devices, options):
    """Gathered features and their gradients: two devices do what one does, clipping included."""
    assert_same(train(tf.distribute.get_strategy(), **options), train(two_devices, **options), 2e-5)


def test_terms_by_hand():
    trainer = make_trainer(head_factor=0.5, weight_decay=0.1)
    trainer.head.set_weights([np.zeros((WIDTH, CLASSES)), np.zeros(CLASSES)])
    features = np.zeros((4, WIDTH), "float32")
    features[[0, 1], 0], features[[2, 3], 1] = (1, 3), (2, 5)  # lengths do not matter to triplets
    terms = {name: float(value) for name, value in trainer.terms(features, np.array([0, 0, 1, 1])).items()}
    kernels = sum(np.sum(numpy(v)**2) for v in trainer.trainable_variables if v.name == "kernel")
    assert terms["triplet_loss"] == 0  # people are √2 apart, their images not at all
    assert terms["positive_distance"] == pytest.approx(0, abs=1e-6)
    assert terms["negative_distance"] == pytest.approx(2)
    assert terms["xent"] == pytest.approx(np.log(CLASSES), rel=1e-6)
    assert terms["reg_loss"] == pytest.approx(0.1 * 0.5 * kernels, rel=1e-5)
    assert terms["loss"] == pytest.approx(0.5 * np.log(CLASSES) + 0.05 * kernels, rel=1e-5)


def steps(last, loss, distance):
    return [(step, {"triplet_loss": loss, "negative_distance": distance}) for step in range(last - 9, last + 1)]


def test_a_collapse_is_said_once(caplog):
    guard = CollapseWatch(losses.TripletLoss(0.2))
    guard.see(steps(10, 0.2, 1.5))
    guard.see(steps(20, 0.2, 0.5))  # the loss of a hard batch, but distances are there
    assert not caplog.records
    guard.see(steps(30, 0.201, 0.01))
    guard.see(steps(40, 0.2, 0.001))
    assert len(caplog.records) == 1
    assert "After 30 steps the triplet loss is 0.201" in caplog.text
    assert "collapse into one point" in caplog.text


def test_learning_is_no_collapse(caplog):
    guard = CollapseWatch(losses.TripletLoss(0.2))
    for last, loss, distance in ((10, 0.2, 1.5), (20, 0.15, 1.2), (30, 0.05, 0.1)):
        guard.see(steps(last, loss, distance))
    assert not caplog.records


def test_a_collapse_of_the_soft_loss(caplog):
    guard = CollapseWatch(losses.TripletLoss(soft=True))
    guard.see(steps(10, 0.7, 1.0))
    guard.see(steps(20, 0.6931, 0.01))
    assert "collapse" in caplog.text
