"""Classes spread over two replicas: the same numbers as one head that holds all of them."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from benchmarks.ports import free_addresses
from tests import clusters, shards
from tests.shards import BATCH, CLASSES, STEPS, WIDTH, arrays, batch, create, make_loop, run
from tf_facenet import config, heads
from tf_facenet.finite import NonFiniteError
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import averages, optimizers, sharding, spread
from tf_facenet.training.checkpoints import Checkpoints, OtherNetworkError, load, read_arrays
from tf_facenet.training.trainer import FaceTrainer
from tf_facenet.training.watch import expected_loss


def split(strategy, *arrays):
    def parts(array):
        shares = np.split(array, strategy.num_replicas_in_sync)
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(shares[context.replica_id_in_sync_group]))

    return tuple(map(parts, arrays))


def joined(head, values):
    """Rows of each replica in class order; those of padding are zero."""
    counts = np.diff(head.spread.edges) * head.sub_centers
    parts = [numpy(value) for value in head.spread.strategy.experimental_local_results(values)]
    assert not any(part[count:].any() for part, count in zip(parts, counts, strict=True))
    return np.concatenate([part[:count] for part, count in zip(parts, counts, strict=True)])


def whole_step(head, features, labels):
    with tf.GradientTape() as tape:
        features = tf.constant(features)
        tape.watch(features)
        terms = head.cross_entropy(features, labels, training=True)
    return [numpy(term) for term in terms], [numpy(each) for each in tape.gradient(
        terms[0], [features, head.centers.value])]


def spread_step(head, features, labels):
    strategy = head.spread.strategy

    @tf.autograph.experimental.do_not_convert
    def in_replica(features, labels):
        with tf.GradientTape() as tape:
            tape.watch([features, head.centers.value])
            terms = head.cross_entropy(features, labels, training=True)
            loss = terms[0] / strategy.num_replicas_in_sync
        return terms, tape.gradient(loss, [features, head.centers.value])

    terms, gradients = strategy.run(in_replica, args=split(strategy, features, labels))
    local = strategy.experimental_local_results
    return ([numpy(local(term)[0]) for term in terms],
            [np.concatenate([numpy(part) for part in local(gradients[0])]), joined(head, gradients[1])])


@pytest.mark.parametrize(("name", "options"), [
    *((name, {}) for name in heads.MARGINS),
    ("arcface", {"sub_centers": 3}),
    ("arcface", {"easy_margin": True, "gradient": "straight_through"}),
    ("sphereface", {"annealing": True}),
    ("cosface", {"interclass_filtering_threshold": 0.4}),
    ("cosface", {"interclass_filtering_threshold": 0.4, "interclass_filtering": "exclude", "sub_centers": 2}),
    ("curricularface", {"classes": 14}),  # as many on both devices
    ("arcface", {"classes": 2}),
    ("arcface", {"label_smoothing": 0.1, "margin_warmup_steps": 3}),
], ids=str)
def test_loss_gradients_and_state_are_those_of_the_whole_head(two_devices, name, options):
    head, whole = create(two_devices, name, **options)
    for seed in range(2 if whole.margin.variables else 1):  # the second finds a margin's statistics changed
        features, labels = batch(head.num_classes, seed)
        terms, gradients = spread_step(head, features, labels)
        expected, expected_gradients = whole_step(whole, features, labels)
        np.testing.assert_allclose(terms, expected, rtol=1e-5)
        for one, other in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())
        assert numpy(head.penalty(features)) == pytest.approx(numpy(whole.penalty(features)))
    for one, other in zip(head.whole.margin.variables, whole.margin.variables, strict=True):
        # CurricularFace's is a hundredth of a mean of cosines, which may be near zero.
        assert numpy(one) == pytest.approx(numpy(other), rel=1e-5, abs=1e-8)


def test_outside_of_replicas_it_takes_the_batch_as_it_is(two_devices, monkeypatch):
    head, whole = create(two_devices)
    features, labels = batch()
    reduce = two_devices.reduce

    def reduce_in_a_graph(*arguments, **options):
        assert not tf.executing_eagerly()  # several workers would do it in a pool that is open when one is lost
        return reduce(*arguments, **options)

    monkeypatch.setattr(two_devices, "reduce", reduce_in_a_graph)
    np.testing.assert_allclose([numpy(term) for term in head.cross_entropy(tf.constant(features), labels)],
                               [numpy(term) for term in whole.cross_entropy(features, labels)], rtol=1e-5)
    assert expected_loss(head, WIDTH) == pytest.approx(expected_loss(whole, WIDTH), rel=1e-5)

    def squares(variables):
        return sum(tf.reduce_sum(tf.square(variable)) for variable in variables)

    assert numpy(head.summed(squares)) == pytest.approx(numpy(whole.summed(squares)), rel=1e-5)


def test_features_without_direction_hit_the_first_class(two_devices):
    head, whole = create(two_devices)
    labels, zeros = np.arange(BATCH, dtype="int32"), np.zeros((BATCH, WIDTH), "float32")
    assert spread_step(head, zeros, labels)[0][1] == whole_step(whole, zeros, labels)[0][1] == 1 / BATCH


@pytest.mark.parametrize("tf1", [False, True], ids=["keras", "tf1"])
@pytest.mark.parametrize("name", sorted(optimizers.PARAMETERS))
def test_each_optimizer_serves_the_shards(two_devices, name, tf1):
    """Rows and slots after two updates, beside the same optimizer on the whole."""
    options = SoftmaxOptions(optimizer=name, tf1_optimizers=tf1)
    head, whole = create(two_devices)
    gradient = shards.batch(seed=1)[0][:1] * np.arange(1, CLASSES + 1)[:, None] / CLASSES
    padded = np.zeros((2, 7, WIDTH), "float32")
    padded[0, :6], padded[1] = gradient[:6], gradient[6:]
    with two_devices.scope(), spread.per_replica(["head_centers_"]):
        optimizer = optimizers.create(options, 0.05)
        optimizer._all_reduce_sum_gradients = list  # as the loop has it
        optimizer.build([head.centers])
    other = optimizers.create(options, 0.05)
    other.build([whole.centers])
    for _ in range(2):
        two_devices.run(lambda part: optimizer.apply([part[0]], [head.centers]), args=split(two_devices, padded))
        other.apply([tf.constant(gradient, tf.float32)], [whole.centers])
    spread_slots = head.spread.in_class_order([head.centers, *optimizer.variables[2:]])
    for one, another in zip(spread_slots, [whole.centers, *other.variables[2:]], strict=True):
        np.testing.assert_allclose(numpy(one), numpy(another), atol=1e-6, err_msg=one.path)


@pytest.mark.parametrize("options", [
    {"optimizer": "MOM", "average": True, "sub_centers": 2},
    {"optimizer": "ADAM", "accumulate": 2},
    {"optimizer": "ADAM", "sample_rate": 0.99, "classes": 18, "label_smoothing": 0.1},  # each draws all its own
], ids=lambda options: "-".join(map(str, options.values())))
def test_a_run_is_that_of_the_whole_head(two_devices, options):
    """Losses, weights, slots and averages, with weight decay and a clipped gradient."""
    (terms, state), (expected, expected_state) = (
        (run(loop, 3), arrays(loop))
        for loop in (make_loop(strategy, **options) for strategy in (two_devices, tf.distribute.get_strategy())))
    for one, other in zip(terms, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-5)
    for role, states in expected_state.items():
        for one, other in zip(state[role], states, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=role)


def test_each_replica_draws_from_its_own_classes(two_devices):
    head, _ = create(two_devices, classes=41, sample_rate=0.5)
    assert head.num_sampled == 20
    labels = np.array([3, 3, 19, 20, 40, 22, 5, 31], "int32")  # class 20 is the second replica's first
    draws = [[numpy(part) for part in two_devices.experimental_local_results(two_devices.run(
        lambda seed: head.draw(tf.constant(labels), seed), args=(tf.constant([7, count]),)))] for count in (0, 0, 1)]
    for first, second in draws:
        assert {3, 5, 19} <= set(first) <= set(range(20))
        assert {0, 2, 11, 20} <= set(second) <= set(range(21))
        assert len(set(first)) == len(set(second)) == 10
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0][0] != draws[2][0]).any()
    assert (draws[0][0] != draws[0][1]).any()


def test_a_sampled_run_goes_on_with_other_devices_and_says_that_it_draws_otherwise(two_devices, tmp_path, caplog):
    """Everything is carried over to the last bit; only how many classes are drawn from which part differs."""
    one, saved = tf.distribute.get_strategy(), None
    for step, strategy in enumerate((one, two_devices, one), 1):
        loop = make_loop(strategy, sample_rate=0.6, classes=30, sub_centers=2)
        if saved:
            assert Checkpoints(tmp_path).restore(loop.state())["step"] == step - 1
            for role, states in arrays(loop).items():
                for state, before in zip(states, saved[role], strict=True):
                    np.testing.assert_array_equal(state, before)
        loop.step = step - 1
        run(loop, step)
        saved = arrays(loop)
        Checkpoints(tmp_path).save(loop.state(), step)
    loop.sampling.resumed(2)
    assert "Parts of the classes: 1, before 2. The run goes on with other draws of --sample_rate" in caplog.text


def processes(zygote, folder, *arguments):
    """Losses that processes print, the same of all."""
    results = clusters.finish([
        zygote.start("tests.shards:main", str(folder), *each, output=folder / f"output{each[0]}-{number}")
        for number, each in enumerate(arguments)])
    assert [status for status, _ in results] == [0] * len(arguments), results
    first, *others = (json.loads(output.splitlines()[-1]) for _, output in results)
    assert all(losses == first for losses in others)
    return first


def test_a_run_goes_on_with_any_number_of_replicas(two_devices, zygote, tmp_path):
    """One device, two, four, two workers, one: the losses of a run that never stopped."""
    one, options = tf.distribute.get_strategy(), {"average": True, "sub_centers": 2}
    expected = [terms["loss"] for terms in run(make_loop(one, **options))]
    losses = shards.go_on(make_loop(one, **options), tmp_path, 1)
    losses += shards.go_on(make_loop(two_devices, **options), tmp_path, 2)
    losses += processes(zygote, tmp_path, (3, 4))
    addresses = ",".join(free_addresses(2))
    losses += processes(zygote, tmp_path, *((4, 0, addresses, index) for index in range(2)))
    losses += shards.go_on(make_loop(one, **options), tmp_path, STEPS)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_checkpoints_hold_class_order_without_padding_and_are_written_in_blocks(two_devices, tmp_path, monkeypatch):
    head, whole = create(two_devices, sub_centers=2)
    monkeypatch.setattr(spread, "BLOCK_BYTES", 5 * 4 * WIDTH)
    (view,) = head.spread.in_class_order([head.centers])
    assert [len(block) for block in view.blocks()] == [5, 5, 2, 5, 5, 4]
    path = Checkpoints(tmp_path).save({"model": [view]}, 1)
    np.testing.assert_array_equal(read_arrays(path, "model")["head/centers"], numpy(whole.centers))
    head.fill(np.zeros(view.shape, "float32"))
    assert load(head.lasting(head.weights), path)
    np.testing.assert_array_equal(numpy(view), numpy(whole.centers))
    whole.fill(np.zeros(view.shape, "float32"))
    assert load(whole.lasting(whole.weights), path)
    np.testing.assert_array_equal(numpy(whole.centers), numpy(view))
    assert not load([heads.create("arcface", 3, WIDTH).centers], path)


def test_a_checkpoint_of_other_classes(two_devices, tmp_path):
    few, more = (create(two_devices, classes=classes)[0] for classes in (CLASSES, CLASSES + 1))
    Checkpoints(tmp_path).save({"model": few.lasting(few.weights)}, 1)
    with pytest.raises(OtherNetworkError, match="holds 1 model variables of other shapes"):
        Checkpoints(tmp_path).restore({"model": more.lasting(more.weights)})


def test_nan_in_a_shard_is_never_saved(two_devices, tmp_path):
    head, _ = create(two_devices)
    spread.components(head.centers)[1].assign(np.full((7, WIDTH), np.nan))
    with pytest.raises(NonFiniteError, match="head/centers holds values that are not finite"):
        Checkpoints(tmp_path).save({"model": head.lasting(head.weights)}, 1)
    assert list(tmp_path.iterdir()) == []


def test_the_first_centers_do_not_depend_on_the_number_of_replicas(two_devices, monkeypatch):
    monkeypatch.setattr(sharding, "CHUNK", 5)
    head, _ = create(two_devices)
    parts = np.concatenate([head._first_centers(first, count, WIDTH) for first, count in ((0, 4), (4, 6), (10, 3))])
    np.testing.assert_array_equal(parts, head._first_centers(0, 13, WIDTH))
    assert parts.std() == pytest.approx(0.01, rel=0.3)


def test_averages_change_places_with_the_shards(two_devices):
    head, whole = create(two_devices)
    with two_devices.scope():
        average = averages.WeightAverage([head.centers], 0.9)
    head.fill(np.ones((CLASSES, WIDTH), "float32"))
    average.swap()
    (centers, averaged) = head.spread.in_class_order([head.centers, *average.averages])
    np.testing.assert_array_equal(numpy(centers), numpy(whole.centers))
    np.testing.assert_array_equal(numpy(averaged), 1)


def test_fewer_classes_than_devices(two_devices):
    with pytest.raises(ValueError, match="spreads 1 classes over 2 devices; expected at least one for each"):
        create(two_devices, classes=1)


def test_a_head_without_cosines(two_devices, capsys):
    with pytest.raises(ValueError, match="head 'Logits' cannot be spread over devices; expected one with cosines"):
        sharding.ShardedHead(heads.make("softmax", CLASSES), two_devices)
    with pytest.raises(SystemExit, match="2"):
        config.parse(SoftmaxOptions, ["--shard_classes"])
    assert "--shard_classes spreads the centres of a head with cosines, and --head softmax" in capsys.readouterr().err
    assert config.parse(SoftmaxOptions, ["--shard_classes", "--resume", "run"]).shard_classes  # of another head, maybe


def test_a_sample_must_hold_the_batch_on_each_device(two_devices):
    head, _ = create(two_devices, classes=30, sample_rate=0.4)
    head.check_batch(6)
    with pytest.raises(ValueError, match="0.4 of 30 classes on 2 devices is 6 on each; a batch of 7 may hold more"):
        head.check_batch(7)


def test_what_needs_all_scores_refuses(two_devices):
    head, _ = create(two_devices)
    features, labels = batch()
    with pytest.raises(ValueError, match="spread over 2 devices, so that none has the scores of all"):
        head(features, labels)
    with two_devices.scope():
        inputs = keras.Input((WIDTH,))
        trainer = FaceTrainer(keras.Model(inputs, keras.layers.Identity()(inputs)), head)
    with pytest.raises(ValueError, match="spread over 2 devices, which Keras' fit does not know"):
        trainer.compute_loss(y=labels, y_pred=features)
