"""Class sampling in the loop: rows of a step are trained as always, the others are left alone."""

import numpy as np
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from tests.loops import STEPS, Recorder, assert_same, batches, make_loop, train
from tf_facenet.training.checkpoints import Checkpoints
from tf_facenet.training.loop import Stop

CLASSES = 40
SAMPLED = {"head": "cosface", "classes": CLASSES, "scale": 16.0, "sample_rate": 0.5, "center": False}


def run(loop, steps, start=0):
    hooks = Recorder()
    with Stop() as stop:
        loop.run(batches(classes=CLASSES).skip(start), steps, hooks, stop)
    return [terms["loss"] for group in hooks.calls for _, terms in group]


@pytest.mark.parametrize("optimizer", ["MOM", "ADAM", "ADAGRAD"])
def test_a_sample_of_all_classes_trains_as_the_whole(optimizer):
    one = tf.distribute.get_strategy()
    whole, all_sampled = (make_loop(one, optimizer, **{**SAMPLED, "sample_rate": rate}) for rate in (1.0, 0.99))
    for loop in (whole, all_sampled):
        loop.trainer.head.centers.assign(np.random.default_rng(3).standard_normal((CLASSES, 6)))
    np.testing.assert_allclose(run(all_sampled, STEPS), run(whole, STEPS), rtol=1e-5)
    np.testing.assert_allclose(numpy(all_sampled.trainer.head.centers), numpy(whole.trainer.head.centers), atol=1e-5)


@pytest.mark.parametrize("optimizer", ["MOM", "ADAM", "ADAGRAD"])
def test_rows_that_are_not_drawn_are_left_alone(optimizer):
    loop = make_loop(tf.distribute.get_strategy(), optimizer, **SAMPLED)
    assert loop.sampling.slots
    head = loop.trainer.head
    for step in range(1, STEPS + 1):
        before = [numpy(variable) for variable in (head.centers, *loop.sampling.slots)]
        run(loop, step, step - 1)
        drawn = np.isin(np.arange(CLASSES), numpy(head.sampled_classes))
        assert drawn.sum() == CLASSES // 2
        for old, variable in zip(before, (head.centers, *loop.sampling.slots), strict=True):
            np.testing.assert_array_equal(numpy(variable)[~drawn], old[~drawn])
        assert (numpy(head.centers)[drawn] != before[0][drawn]).any(axis=1).all()


def test_slots_begin_as_the_optimizer_begins_them():
    loop = make_loop(tf.distribute.get_strategy(), "ADAGRAD", **SAMPLED)
    np.testing.assert_allclose(numpy(loop.sampling.slots[0]), 0.1)


@pytest.mark.parametrize("options", [
    {}, {"optimizer": "ADAM"}, {"sub_centers": 2}, {"head": "adaface"},
    {"accumulate": 2, "batch_norm": False}], ids=lambda options: "-".join(map(str, options)) or "plain")
def test_two_replicas_equal_one_device(two_devices, options):
    one = train(tf.distribute.get_strategy(), **{**SAMPLED, **options})
    assert_same(one, train(two_devices, **{**SAMPLED, **options}), 2e-5)


def test_resumed_draws_and_losses_are_those_of_an_uninterrupted_run(tmp_path):
    one = tf.distribute.get_strategy()
    expected = run(make_loop(one, **SAMPLED), STEPS)
    stopped = make_loop(one, **SAMPLED)
    run(stopped, 3)
    Checkpoints(tmp_path).save(stopped.state(), 3)
    resumed = make_loop(one, **SAMPLED)
    run(resumed, 1)  # anything else before
    resumed.step = Checkpoints(tmp_path).restore(resumed.state())["step"]
    np.testing.assert_allclose(run(resumed, STEPS, 3), expected[3:], rtol=1e-6)


def test_the_average_leaves_the_rows_out():
    loop = make_loop(tf.distribute.get_strategy(), **SAMPLED)
    trained = {variable.path for variable in loop.trainer.trainable_variables}
    assert trained - {variable.path for variable in loop.average.variables} == {"head/sampled_centers"}


def test_keras_fit_refuses():
    loop = make_loop(tf.distribute.get_strategy(), **SAMPLED)
    with pytest.raises(ValueError, match="sample_rate is 0.5, and Keras' fit draws no classes"):
        loop.trainer.compute_loss(y=np.zeros(2), y_pred=np.zeros((2, 6)))
