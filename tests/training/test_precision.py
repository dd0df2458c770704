"""Half precision: the scale of the loss, on one device and on two."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from tests import shards
from tests.loops import STEPS, Recorder, assert_same, batches, make_loop, train
from tf_facenet.finite import NonFiniteError
from tf_facenet.training.checkpoints import Checkpoints
from tf_facenet.training.loop import Stop
from tf_facenet.training.precision import POLICIES, LossScale


@pytest.fixture
def half(request):
    """Half precision: float16, or what the test names."""
    keras.config.set_dtype_policy(POLICIES[getattr(request, "param", "float16")])
    yield
    keras.config.set_dtype_policy("float32")


def run(loop, steps, start=0):
    hooks = Recorder()
    with Stop() as stop:
        loop.run(batches().skip(start), steps, hooks, stop)
    return [terms for group in hooks.calls for _, terms in group]


def test_a_scale_that_is_a_power_of_two_changes_nothing():
    """In float32, without overflow: bit for bit."""
    one = tf.distribute.get_strategy()
    plain, scaled = train(one), train(one, loss_scale=2.0**10)
    assert [terms.pop("loss_scale") for terms in scaled[0]] == [2.0**10] * 3 + [2.0**11] * 3  # before the step
    scaled[1].pop("loss_scale")
    assert_same(plain, scaled, 1e-7)


def test_an_overflow_leaves_the_step_out_and_halves_the_scale():
    loop = make_loop(tf.distribute.get_strategy(), loss_scale=3e38)  # the largest float32 is 3.4e38
    loop.trainer.weight_decay = 100.0
    before = [numpy(variable) for variable in (*loop.trainer.trainable_variables, *loop.optimizer.variables,
                                               *loop.average.averages)]
    terms, = run(loop, 1)
    assert np.isfinite(terms["loss"])  # only its gradient is too large
    after = [*loop.trainer.trainable_variables, *loop.optimizer.variables, *loop.average.averages]
    for old, variable in zip(before, after, strict=True):
        np.testing.assert_array_equal(numpy(variable), old)
    assert numpy(loop.loss_scale.factor) == np.float32(1.5e38)
    assert numpy(loop.loss_scale.good_steps) == 0


def test_a_step_that_is_left_out_counts_for_neither_the_schedule_nor_its_log():
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.05, 0.005])
    loop = make_loop(tf.distribute.get_strategy(), loss_scale=3e38, rate=rates)
    loop.trainer.weight_decay = 4.0
    terms = run(loop, 6)
    scales = [each["loss_scale"] for each in terms]
    left_out = next(step for step in range(5) if scales[step + 1] >= scales[step])  # each halved the scale
    assert 0 < left_out < 5
    expected = [0.05] * (left_out + 1) + [0.005] * (5 - left_out)
    assert [each["learning_rate"] for each in terms] == pytest.approx(expected)


def test_two_replicas_agree_with_one(two_devices):
    assert_same(train(tf.distribute.get_strategy(), loss_scale=2.0**10), train(two_devices, loss_scale=2.0**10), 2e-5)


@pytest.mark.parametrize("good", [False, True])
def test_one_replica_overflows_alone(two_devices, good):
    """Infinity in the images of the second replica only: neither takes the step."""
    loop = make_loop(two_devices, loss_scale=2.0, batch_norm=False)
    before = numpy(loop.trainer.trainable_variables[0])

    def spoil(images, labels):
        return images * tf.reshape(tf.constant([1.0] * 7 + [1.0 if good else np.inf]), [8, 1, 1, 1]), labels

    with Stop() as stop:
        loop.run(batches().map(spoil), 1, Recorder(every=2), stop)  # nobody reads the loss, which is no number
    assert np.array_equal(numpy(loop.trainer.trainable_variables[0]), before) is not good
    assert numpy(loop.loss_scale.factor) == (2.0 if good else 1.0)


def test_float16_trains_and_resumes_exactly(half, tmp_path):
    one = tf.distribute.get_strategy()
    whole = make_loop(one, loss_scale=2.0**15)
    assert whole.trainer.backbone.get_layer("conv1").compute_dtype == "float16"
    expected = run(whole, STEPS)
    stopped = make_loop(one, loss_scale=2.0**15)
    run(stopped, 4)
    Checkpoints(tmp_path).save(stopped.state(), 4)
    resumed = make_loop(one, loss_scale=2.0)
    resumed.step = Checkpoints(tmp_path).restore(resumed.state())["step"]
    assert run(resumed, STEPS, 4) == expected[4:]
    for left, right in zip(whole.state()["model"], resumed.state()["model"], strict=True):
        np.testing.assert_array_equal(numpy(left), numpy(right))


def test_no_scale_helps():
    loop = make_loop(tf.distribute.get_strategy(), loss_scale=LossScale.LEAST / 2)
    with pytest.raises(NonFiniteError, match="gradients overflow float16 even with a loss scale of 0.000488281, at"):
        run(loop, 1)


@pytest.mark.parametrize(("half", "epsilon", "options"), [
    ("bfloat16", 2.0**-7, {}),
    ("bfloat16", 2.0**-7, {"sample_rate": 0.99, "classes": 18}),  # each device draws all its own
    ("float16", 2.0**-10, {"loss_scale": 2.0**10})], indirect=["half"], ids=["bfloat16", "sampled", "float16"])
def test_spread_classes_train_as_the_whole_head_does(two_devices, half, epsilon, options):
    """Up to the rounding of the kernel's gradient, which each device does to that of its part before they are added.

    It moves each part by half an epsilon at most; so it does the sum on one device. Parts may cancel, hence twice that.
    """
    spread, whole = (shards.make_loop(strategy, average=True, **options)
                     for strategy in (two_devices, tf.distribute.get_strategy()))
    begin = shards.arrays(whole)
    terms, expected = shards.run(spread, 3), shards.run(whole, 3)
    assert terms[0] == pytest.approx(expected[0], rel=1e-6)  # before any gradient
    for one, other in zip(terms, expected, strict=True):
        assert one == pytest.approx(other, rel=epsilon)
    assert spread.trainer.backbone.get_layer("dense").compute_dtype == keras.config.dtype_policy().compute_dtype
    assert spread.trainer.head.centers.dtype == "float32"
    end = shards.arrays(whole)
    for role, states in shards.arrays(spread).items():
        for state, before, after in zip(states, begin[role], end[role], strict=True):
            np.testing.assert_allclose(state, after, atol=2 * epsilon * np.abs(after - before).max(), err_msg=role)


@pytest.mark.parametrize(("half", "scale", "row"), [
    ("float16", 2.0**24, 1.0),  # the gradients of float16 features end at 65,504; those of the centres are float32
    ("float32", 2.0**100, 1e15),  # decay times scale times a centre of the second device is beyond float32
], indirect=["half"], ids=["network", "one-shard"])
def test_spread_classes_wait_for_the_scale_together(two_devices, half, scale, row):
    loop = shards.make_loop(two_devices, average=True, loss_scale=scale)
    loop.trainer.weight_decay = 100.0
    centers, = (variable for variable in loop.state()["model"] if variable.path == "head/centers")
    loop.trainer.head.fill(numpy(centers) * np.where(np.arange(shards.CLASSES) == 12, row, 1.0)[:, None])
    before = shards.arrays(loop)
    terms, = shards.run(loop, 1)
    assert np.isfinite(terms["loss"])  # only its gradient is too large
    after = shards.arrays(loop)
    assert after.pop("loss_scale") == [scale / 2, 0]
    for role, states in after.items():
        for old, new in zip(before[role], states, strict=True):
            np.testing.assert_array_equal(new, old, err_msg=role)
