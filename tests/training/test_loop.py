"""The loop: one device, two replicas and micro-batches do the same arithmetic."""

import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from tests import tiny
from tf_facenet import heads, losses
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import distribution, optimizers
from tf_facenet.training.loop import Loop, NonFiniteError, Stop
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


def batches(scale=1.0):
    rng = np.random.default_rng(0)
    images = (rng.uniform(0, 255, (STEPS, BATCH, 16, 16, 3)) * scale).astype("float32")
    labels = rng.integers(0, CLASSES, (STEPS, BATCH)).astype("int32")
    return tf.data.Dataset.from_tensor_slices((images, labels)).repeat()


def make_loop(strategy, optimizer="MOM", accumulation_steps=1, center=True, batch_norm=True,
              head="softmax", **head_options):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        backbone = tiny.create(16, WIDTH, batch_norm=batch_norm)
        trainer = FaceTrainer(
            backbone, heads.create(head, CLASSES, WIDTH, **head_options),
            losses.CenterLoss(CLASSES, WIDTH, alfa=0.5) if center else None,
            center_loss_factor=0.1, weight_decay=1e-3, prelogits_norm_loss_factor=1e-3)
        average = optimizers.WeightAverage(trainer.averaged_variables, 0.9)
        made = optimizers.create(SoftmaxOptions(optimizer=optimizer, clip_norm=5.0), 0.05)
    distribution.prepare(trainer, strategy)
    return Loop(trainer, made, strategy, average, accumulation_steps)


def train(strategy, **options):
    loop, hooks = make_loop(strategy, **options), Recorder()
    with Stop() as stop:
        loop.run(batches(), STEPS, hooks, stop)
    assert loop.step == STEPS
    variables = {role: [numpy(v) for v in vs] for role, vs in loop.state().items()}
    return [terms for steps in hooks.calls for _, terms in steps], variables


def assert_same(one, other, tolerance):
    for left, right in zip(one[0], other[0], strict=True):
        assert left == pytest.approx(right, rel=1e-4, abs=tolerance)
    for role in one[1]:
        for left, right in zip(one[1][role], other[1][role], strict=True):
            np.testing.assert_allclose(left, right, atol=tolerance, err_msg=role)


@pytest.mark.parametrize("options", [
    {"optimizer": "MOM"},
    {"optimizer": "ADAM"},
    {"head": "arcface", "sub_centers": 2, "scale": 16.0},
    {"head": "adaface", "scale": 16.0},
    {"head": "curricularface", "scale": 16.0},
    {"head": "magface", "scale": 16.0, "l_a": 0.1, "u_a": 2.0},
    {"head": "sphereface", "scale": 16.0, "annealing": True},
], ids=lambda options: "-".join(map(str, options.values())))
def test_two_replicas_equal_one_device(two_devices, options):
    assert_same(train(tf.distribute.get_strategy(), **options), train(two_devices, **options), 2e-5)


def test_micro_batches_equal_whole_batches():
    """Without what depends on the split: batch statistics, and centres that move in between."""
    one = tf.distribute.get_strategy()
    assert_same(train(one, batch_norm=False, center=False),
                train(one, batch_norm=False, center=False, accumulation_steps=4), 1e-5)


def test_micro_batches_on_two_replicas_equal_those_on_one(two_devices):
    """Two micro-batches of four on one device are two of two on each of two devices.

    Images are dealt in order, so that the parts are others; without batch statistics and moving
    centres that makes no difference.
    """
    options = {"accumulation_steps": 2, "batch_norm": False, "center": False}
    assert_same(train(tf.distribute.get_strategy(), **options), train(two_devices, **options), 2e-5)


def test_micro_batches_with_synchronised_batch_norm(two_devices):
    terms, _ = train(two_devices, accumulation_steps=2)
    assert len(terms) == STEPS
    assert all(np.isfinite(list(each.values())).all() for each in terms)


def test_the_loss_is_the_sum_of_its_parts():
    terms, _ = train(tf.distribute.get_strategy())
    for each in terms:
        assert each["loss"] == pytest.approx(each["xent"] + each["reg_loss"], rel=1e-6)


def test_hooks_get_all_steps_in_groups():
    loop, hooks = make_loop(tf.distribute.get_strategy()), Recorder(every=3)
    with Stop() as stop:
        loop.run(batches(), STEPS, hooks, stop)
    assert [[step for step, _ in steps] for steps in hooks.calls] == [[1, 2, 3], [4, 5, 6]]


def test_nan_names_its_step():
    loop, hooks = make_loop(tf.distribute.get_strategy()), Recorder(every=3)
    # A ReLU may turn NaN into zero; then the step after it, with the weights gone, shows it.
    bad = batches().take(1).concatenate(batches(scale=np.nan))
    with Stop() as stop, pytest.raises(NonFiniteError, match=r"the loss is nan at step [23]"):
        loop.run(bad, STEPS, hooks, stop)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_the_step(number):
    class Sender(Recorder):
        def after(self, steps):
            super().after(steps)
            if steps[-1][0] == 2:
                os.kill(os.getpid(), number)

    loop, hooks = make_loop(tf.distribute.get_strategy()), Sender()
    handler = signal.getsignal(number)
    with Stop() as stop:
        loop.run(batches(), STEPS, hooks, stop)
    assert stop.signal == number
    assert loop.step == 2
    assert signal.getsignal(number) is handler


def test_frozen_layers_stay():
    keras.utils.set_random_seed(1)
    backbone = tiny.create(16, WIDTH)
    backbone.get_layer("conv1").trainable = False
    trainer = FaceTrainer(backbone, heads.create("softmax", CLASSES, WIDTH))
    before = [numpy(layer.kernel) for layer in (backbone.get_layer("conv1"), trainer.head)]
    loop = Loop(trainer, optimizers.create(SoftmaxOptions(), 0.1), tf.distribute.get_strategy())
    with Stop() as stop:
        loop.run(batches(), 2, Recorder(), stop)
    np.testing.assert_array_equal(numpy(backbone.get_layer("conv1").kernel), before[0])
    assert np.abs(numpy(trainer.head.kernel) - before[1]).max() > 1e-3
