"""Batches of people: P people with K images each, as a function of data, seed and number."""

import numpy as np
import pytest

from tf_facenet.data import drawn
from tf_facenet.data.augment import Augmentation
from tf_facenet.data.batches import check_people, training_batches
from tf_facenet.data.faces import Faces

IMAGES = drawn.draw(people=1, images=1, size=32).samples


def faces(*counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    return Faces(np.repeat(IMAGES, len(labels)), labels, [f"person {c}" for c in range(len(counts))])


def labels(data, batch_size, images_per_person, count, seed=1, start=0):
    dataset = training_batches(data, batch_size, 32, Augmentation(), seed, start, images_per_person=images_per_person)
    return [batch.numpy().tolist() for _, batch in dataset.take(count)]


def runs(batch):
    """(person, how many) one after the other."""
    cuts = np.flatnonzero(np.diff(batch)) + 1
    return [(part[0], len(part)) for part in np.split(np.array(batch), cuts)]


def test_people_one_after_the_other_with_their_images():
    for batch in labels(faces(*[9] * 10), 12, 4, 20):
        people, sizes = zip(*runs(batch), strict=True)
        assert sizes == (4, 4, 4)
        assert len(set(people)) == 3


def test_people_with_fewer_images_make_room_for_more_people():
    for batch in labels(faces(1, 2, 9, 9, 9, 9), 12, 4, 30):
        sizes = dict(runs(batch))
        assert len(runs(batch)) == len(sizes)
        cut = runs(batch)[-1][0]
        assert all(size == min(4, [1, 2, 9, 9, 9, 9][person]) for person, size in sizes.items() if person != cut)
        assert sum(sizes.values()) == 12


def test_everybody_comes_equally_often():
    counts = np.bincount(sum(labels(faces(*[5] * 8), 6, 2, 400), []), minlength=8)
    assert counts.sum() == 2400
    assert np.abs(counts - 300).max() < 75


def test_images_of_a_person_change():
    data = faces(6, 6)
    distinct = Faces(drawn.draw(people=2, images=6, size=32).samples, data.labels, data.names)
    dataset = training_batches(distinct, 4, 32, Augmentation(), 1, images_per_person=2)
    seen = {image.numpy().tobytes() for images, _ in dataset.take(20) for image in images}
    assert len(seen) == 12


def test_later_batches_do_not_need_the_earlier_and_seeds_differ():
    data = faces(*[5] * 20)
    whole = labels(data, 8, 4, 6)
    assert labels(data, 8, 4, 3, start=3) == whole[3:]
    assert labels(data, 8, 4, 6, seed=2) != whole


@pytest.mark.parametrize(("counts", "message"), [
    ((1, 1, 1), "None of the 3 people of --data_dir has two images"),
    ((2, 9), "A batch of 8 images, at most 4 of a person, needs more than the 6 that 2 people have")])
def test_data_that_cannot_fill_a_batch(counts, message):
    with pytest.raises(ValueError, match=message):
        check_people(faces(*counts).labels, 8, 4)
