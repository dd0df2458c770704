"""The loop: one device, two replicas and micro-batches do the same arithmetic."""

import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from tests import tiny
from tests.loops import CLASSES, STEPS, WIDTH, Recorder, assert_same, batches, make_loop, train
from tf_facenet import heads
from tf_facenet.finite import NonFiniteError
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import optimizers
from tf_facenet.training.loop import Loop, Stop
from tf_facenet.training.trainer import FaceTrainer


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
                train(one, batch_norm=False, center=False, accumulate=4), 1e-5)


def test_micro_batches_on_two_replicas_equal_those_on_one(two_devices):
    """Two micro-batches of four on one device are two of two on each of two devices.

    Images are dealt in order, so that the parts are others; without batch statistics and moving
    centres that makes no difference.
    """
    options = {"accumulate": 2, "batch_norm": False, "center": False}
    assert_same(train(tf.distribute.get_strategy(), **options), train(two_devices, **options), 2e-5)


def test_micro_batches_with_synchronised_batch_norm(two_devices):
    terms, _ = train(two_devices, accumulate=2)
    assert len(terms) == STEPS
    assert all(np.isfinite(list(each.values())).all() for each in terms)


@pytest.mark.parametrize(("sync_batchnorm", "messages"), [(True, 1 + 2 * 2), (False, 1)])
def test_messages_of_a_step(two_devices, sync_batchnorm, messages):
    """All gradients in one, and of each of the two synchronised batch normalisations one forward and one backward."""
    loop = make_loop(two_devices, sync_batchnorm=sync_batchnorm)
    batch = loop._dealt(next(iter(batches())))
    graph = loop._train_step.get_concrete_function(*batch, tf.constant(0.0)).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("CollectiveReduceV2") == messages * two_devices.num_replicas_in_sync


def test_without_synchronisation_the_first_replica_s_statistics_are_kept(two_devices):
    """The first convolution's output of its half of the batch, mean and variance, times 1 - momentum, 0.1."""
    loop = make_loop(two_devices, sync_batchnorm=False)
    images, labels = next(iter(batches()))
    backbone = loop.trainer.backbone
    first = keras.Model(backbone.inputs, backbone.get_layer("conv1").output)
    maps = numpy(first(images[:len(images) // 2]))
    loop._train_step(*loop._dealt((images, labels)), tf.constant(0.0))
    norm = backbone.get_layer("bn1")
    np.testing.assert_allclose(numpy(norm.moving_mean), 0.1 * maps.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(numpy(norm.moving_variance), 0.9 + 0.1 * maps.var((0, 1, 2)), rtol=1e-4)


def test_the_loss_is_the_sum_of_its_parts():
    terms, _ = train(tf.distribute.get_strategy())
    for each in terms:
        assert each["loss"] == pytest.approx(each["xent"] + each["reg_loss"], rel=1e-6)


def test_hooks_get_all_steps_in_groups():
    loop, hooks = make_loop(tf.distribute.get_strategy()), Recorder(every=3)
    with Stop() as stop:
        loop.run(batches(), STEPS, hooks, stop)
    assert [[step for step, _ in steps] for steps in hooks.calls] == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("options", [{"steps_per_execution": 4}, {"jit": True}], ids=str)
def test_other_ways_to_execute_do_the_same(options):
    """Of six steps and hooks every three: groups of three, since somebody looks in between."""
    one = tf.distribute.get_strategy()
    assert_same(train(one, every=3), train(one, every=3, **options), 1e-6 if "jit" not in options else 1e-5)


def test_several_steps_at_once_on_two_replicas(two_devices):
    assert_same(train(two_devices, every=3), train(two_devices, every=3, steps_per_execution=2), 1e-7)


@pytest.mark.parametrize(("size", "last", "groups"), [
    (1, 4, [1, 1, 1, 1]), (3, 8, [3, 2, 3]), (10, 7, [5, 2]), (5, 12, [5, 5, 2])])
def test_groups_of_steps_end_where_somebody_looks(size, last, groups):
    loop, hooks = make_loop(tf.distribute.get_strategy(), steps_per_execution=size), Recorder(every=5)
    for expected in groups:
        assert loop._group_size(hooks, last) == expected
        loop.step += expected
    assert loop.step == last


@pytest.mark.parametrize(("count", "signals", "asked", "stopped", "signal_after"), [
    (1, None, False, False, None), (1, signal.SIGINT, False, True, signal.SIGINT),
    (2, signal.SIGINT, False, False, signal.SIGINT),  # noted, but the others do not know yet
    (2, None, True, True, signal.SIGTERM), (2, signal.SIGINT, True, True, signal.SIGINT)])
def test_workers_stop_when_all_know(count, signals, asked, stopped, signal_after):
    loop, stop = make_loop(tf.distribute.get_strategy()), Stop()
    loop.workers.count, stop.signal = count, signals
    assert loop._stopped(stop, asked) is stopped
    assert stop.signal == signal_after


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
