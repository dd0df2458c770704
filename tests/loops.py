"""A small training loop, and what it did, for the tests that compare two ways of training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from tests import tiny
from tf_facenet import heads, losses
from tf_facenet.data.batches import untuned
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import averages, distribution, optimizers
from tf_facenet.training.loop import Loop, Stop
from tf_facenet.training.precision import LossScale
from tf_facenet.training.trainer import FaceTrainer
from tf_facenet.training.triplet_trainer import TripletTrainer

CLASSES, WIDTH, BATCH, STEPS = 5, 6, 8, 6


class Recorder:
    """Hooks that are due every `every` steps and keep what they are told."""

    def __init__(self, every=1):
        self.every, self.calls = every, []

    def due(self, step):
        return step % self.every == 0

    def after(self, steps):
        self.calls.append(steps)


def batches(scale=1.0, classes=CLASSES, part=(0, 1)):
    """Endless batches, or of each the part (index, count)."""
    rng = np.random.default_rng(0)
    images = (rng.uniform(0, 255, (STEPS, BATCH, 16, 16, 3)) * scale).astype("float32")
    labels = rng.integers(0, classes, (STEPS, BATCH)).astype("int32")
    images, labels = (np.split(array, part[1], axis=1)[part[0]] for array in (images, labels))
    return untuned(tf.data.Dataset.from_tensor_slices((images, labels)).repeat())


def make_trainer(center=True, batch_norm=True, head="softmax", classes=CLASSES, **head_options):
    backbone = tiny.create(16, WIDTH, batch_norm=batch_norm)
    if head == "triplets":
        return TripletTrainer(backbone, losses.TripletLoss(0.2, "semi_hard"), 2, weight_decay=1e-3)
    return FaceTrainer(
        backbone, heads.create(head, classes, WIDTH, **head_options),
        losses.CenterLoss(classes, WIDTH, alfa=0.5) if center else None,
        center_loss_factor=0.1, weight_decay=1e-3, prelogits_norm_loss_factor=1e-3)


def make_loop(strategy, optimizer="MOM", accumulate=1, loss_scale=None, sync_batchnorm=True, rate=0.05,
              **options):
    keras.utils.set_random_seed(1)
    execution = {name: options.pop(name) for name in ("jit", "steps_per_execution") if name in options}
    with strategy.scope():
        trainer = make_trainer(**options)
        scale = LossScale(loss_scale, patience=3) if loss_scale else None
        average = averages.WeightAverage(trainer.averaged_variables, 0.9)
        made = optimizers.create(SoftmaxOptions(optimizer=optimizer, clip_norm=5.0), rate)
    distribution.prepare(trainer, strategy, BATCH, sync_batchnorm=sync_batchnorm)
    return Loop(trainer, made, strategy, average, accumulate, loss_scale=scale, **execution)


def train(strategy, steps=STEPS, every=1, **options):
    loop, hooks = make_loop(strategy, **options), Recorder(every)
    with Stop() as stop:
        loop.run(batches(classes=options.get("classes", CLASSES), part=loop.workers.part), steps, hooks, stop)
    assert loop.step == steps
    variables = {role: [numpy(v) for v in vs] for role, vs in loop.state().items()}
    return [terms for steps in hooks.calls for _, terms in steps], variables


def assert_same(one, other, tolerance):
    for left, right in zip(one[0], other[0], strict=True):
        assert left == pytest.approx(right, rel=1e-4, abs=tolerance)
    for role in one[1]:
        for left, right in zip(one[1][role], other[1][role], strict=True):
            np.testing.assert_allclose(left, right, atol=tolerance, err_msg=role)
