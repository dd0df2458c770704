"""The benchmark of few people: who is trained on is not verified."""

import numpy as np
import pytest

from benchmarks import small_data
from benchmarks.apart import check_apart, people_of
from tf_facenet.data.faces import Faces
from tf_facenet.data.pairs import Pairs

COUNTS = {"ann": 12, "bob": 11, "cid": 15, "dan": 3, "eve": 10}


def faces():
    samples = np.array([f"lfw/{name}/{name}_{number:04d}.jpg" for name, count in COUNTS.items()
                        for number in range(1, count + 1)], object)
    return Faces(samples, np.repeat(np.arange(len(COUNTS)), list(COUNTS.values())), list(COUNTS))


def pairs(*names):
    """Pairs of first images: each "ann bob" is one."""
    people = [name.split() for name in names]
    images = np.array([f"lfw/{name}/{name}_0001.jpg" for pair in people for name in pair], object)
    same = np.array([one == other for one, other in people])
    return Pairs(images, same, np.arange(len(people)) % 2, [])


PAIRS = pairs("ann ann", "ann bob", "cid dan", "dan dan", "fay gus", "gus gus")


def test_people_are_those_whom_the_pairs_name_least():
    training, probes = small_data.choose(faces(), PAIRS, people=3)
    assert list(training.names) == list(probes.names) == ["bob", "cid", "eve"]
    assert np.bincount(training.labels).tolist() == [5, 5, 5]
    assert np.bincount(probes.labels).tolist() == [6, 10, 5]
    assert not set(training.samples) & set(probes.samples)
    assert training.samples[0].endswith("bob_0001.jpg")


def test_nobody_is_trained_on_and_verified():
    training, _ = small_data.choose(faces(), PAIRS, people=3)
    others = small_data.without(PAIRS, training.names)
    assert people_of(others).tolist() == [["ann", "ann"], ["dan", "dan"], ["fay", "gus"], ["gus", "gus"]]
    assert (others.same.tolist(), others.folds.tolist()) == ([True, True, False, True], [0, 1, 0, 1])
    check_apart(training, others)
    with pytest.raises(ValueError, match="^bob, cid are trained on and verified$"):
        check_apart(training, PAIRS)


def test_nobody_of_lfw_is_either(shared):
    """The twenty people of the published table."""
    from tf_facenet import data
    from tf_facenet.data.pairs import read_pairs
    whole = read_pairs(shared / "data/lfw_protocol/pairs.txt", shared / "data/lfw_112")
    training, probes = small_data.choose(data.load(str(shared / "data/lfw_112")), whole)
    others = small_data.without(whole, training.names)
    check_apart(training, others)
    assert (len(training), training.num_classes, len(probes), len(others)) == (100, 20, 312, 5967)
