"""A small training loop, and what it did, for the tests that compare two ways of training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from tests import tiny
from tf_facenet import heads, losses
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import distribution, optimizers
from tf_facenet.training.loop import Loop, Stop
from tf_facenet.training.trainer import FaceTrainer

CLASSES, WIDTH, BATCH, STEPS = 5, 6, 8, 6


class Recorder:
    """Hooks that are due every `every` steps and keep what they are told."""

    def __init__(self, every=1):
        self.every, self.calls = every, []

    def due(self, step):
        return step % self.every == 0

    def after(self, steps):
        self.calls.append(steps)


def batches(scale=1.0, classes=CLASSES):
    rng = np.random.default_rng(0)
    images = (rng.uniform(0, 255, (STEPS, BATCH, 16, 16, 3)) * scale).astype("float32")
    labels = rng.integers(0, classes, (STEPS, BATCH)).astype("int32")
    return tf.data.Dataset.from_tensor_slices((images, labels)).repeat()


def make_loop(strategy, optimizer="MOM", accumulation_steps=1, center=True, batch_norm=True,
              head="softmax", classes=CLASSES, **head_options):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        backbone = tiny.create(16, WIDTH, batch_norm=batch_norm)
        trainer = FaceTrainer(
            backbone, heads.create(head, classes, WIDTH, **head_options),
            losses.CenterLoss(classes, WIDTH, alfa=0.5) if center else None,
            center_loss_factor=0.1, weight_decay=1e-3, prelogits_norm_loss_factor=1e-3)
        average = optimizers.WeightAverage(trainer.averaged_variables, 0.9)
        made = optimizers.create(SoftmaxOptions(optimizer=optimizer, clip_norm=5.0), 0.05)
    distribution.prepare(trainer, strategy, BATCH)
    return Loop(trainer, made, strategy, average, accumulation_steps)


def train(strategy, **options):
    loop, hooks = make_loop(strategy, **options), Recorder()
    with Stop() as stop:
        loop.run(batches(classes=options.get("classes", CLASSES)), STEPS, hooks, stop)
    assert loop.step == STEPS
    variables = {role: [numpy(v) for v in vs] for role, vs in loop.state().items()}
    return [terms for steps in hooks.calls for _, terms in steps], variables


def assert_same(one, other, tolerance):
    for left, right in zip(one[0], other[0], strict=True):
        assert left == pytest.approx(right, rel=1e-4, abs=tolerance)
    for role in one[1]:
        for left, right in zip(one[1][role], other[1][role], strict=True):
            np.testing.assert_allclose(left, right, atol=tolerance, err_msg=role)
