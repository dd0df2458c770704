"""Rounds of offline mining: what a batch is, and going on in the middle of a round."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny
from tests.loops import Recorder, assert_same
from tf_facenet import losses
from tf_facenet.data import drawn
from tf_facenet.data.augment import Augmentation
from tf_facenet.data.in_order import augmented_images
from tf_facenet.options import SoftmaxOptions, TripletOptions
from tf_facenet.training import distribution, optimizers
from tf_facenet.training.loop import Loop, Stop
from tf_facenet.training.rounds import Rounds
from tf_facenet.training.triplet_trainer import TripletTrainer

FACES = drawn.draw(people=8, images=6, size=32)
FLIP = Augmentation(random_flip=True)


def make(backbone=None, state=None, **options):
    settings = {"mining": "offline", "people_per_batch": 5, "images_per_person": 4, "batch_size": 12, "image_size": 32,
                "alpha": 0.5, "seed": 3, **options}
    keras.utils.set_random_seed(0)
    return Rounds(FACES, backbone or tiny.create(32, 8), TripletOptions(**settings), FLIP, state)


def same(one, other):
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_batch_is_whole_triplets_of_two_people():
    rounds = make()
    for _ in range(20):
        images, labels = next(rounds)
        assert images.shape == (12, 32, 32, 3)
        assert images.dtype == np.uint8
        anchor, positive, negative = labels.reshape(-1, 3).T
        assert (anchor == positive).all()
        assert (anchor != negative).all()
    assert rounds.number >= 1


def test_a_round_samples_people_and_takes_each_triplet_once():
    rounds = make()
    next(rounds)
    assert len(rounds.rows) == 20
    assert len(np.unique(FACES.labels[rounds.rows])) == 5
    assert len(np.unique(rounds.triplets[:, :2], axis=0)) == len(rounds.triplets) <= 5 * 6
    while rounds.number == 0:
        next(rounds)
    assert rounds.batch == 1


def test_seed_and_weights_decide():
    first, again, other = make(), make(), make(seed=4)
    batch = next(first)
    same(batch, next(again))
    assert not np.array_equal(batch[1], next(other)[1])


def test_going_on_from_before_the_first_round():
    same(next(make()), next(make(state=make().state())))


def test_going_on_in_the_middle_of_a_round():
    rounds = make()
    next(rounds)
    state = json.loads(json.dumps(rounds.state()))
    resumed = make(state=state)
    for _ in range(12):  # into later rounds too
        same(next(rounds), next(resumed))


def test_a_short_round_is_repeated():
    rounds = make(batch_size=300)
    images, labels = next(rounds)
    found = len(rounds.triplets)
    assert found < 100
    assert len(images) == len(labels) == 300
    np.testing.assert_array_equal(labels[:3 * (100 - found)][:9], labels[3 * found:][:9])


def test_nothing_to_learn_ends():
    rounds = make(alpha=1e-9, mining_rule="semi_hard")
    with pytest.raises(ValueError, match="In 10 rounds no triplet violates the margin of --alpha 1e-09"):
        next(rounds)


def test_images_are_changed_once_and_the_same_for_the_same_seed():
    first, again, other = (augmented_images(FACES.samples, 32, FLIP, seed) for seed in ([1, 2], [1, 2], [1, 3]))
    plain = augmented_images(FACES.samples, 32, Augmentation(), [1, 2])
    np.testing.assert_array_equal(first, again)
    flipped = [np.array_equal(image, source[:, ::-1]) for image, source in zip(first, plain, strict=True)]
    assert 10 < sum(flipped) < 38
    assert not np.array_equal(first, other)


def train(strategy, every=1, batch_size=12, **execution):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        backbone = tiny.create(32, 8)
        trainer = TripletTrainer(backbone, losses.TripletLoss(0.5, None), 4)
        optimizer = optimizers.create(SoftmaxOptions(optimizer="MOM"), 0.01)
    distribution.prepare(trainer, strategy, batch_size)
    loop, hooks = Loop(trainer, optimizer, strategy, **execution), Recorder(every)
    rounds = make(backbone, batch_size=batch_size)
    loop.batches_state = rounds.state
    with Stop() as stop:
        loop.run(rounds, 6, hooks, stop)
    weights = {"model": [keras.ops.convert_to_numpy(v) for v in trainer.variables]}
    return [terms for steps in hooks.calls for _, terms in steps], weights, rounds.number


def test_two_replicas_train_on_the_same_triplets(two_devices):
    assert_same(train(tf.distribute.get_strategy()), train(two_devices), 1e-4)


def test_a_round_is_embedded_with_the_newest_weights_whatever_the_group():
    """A group of steps asks for all its batches first; a round that begins there would see the weights of before."""
    one = tf.distribute.get_strategy()
    single = train(one, every=6, batch_size=60)
    assert single[2] > 0
    assert_same(single, train(one, every=6, batch_size=60, steps_per_execution=3), 1e-6)
