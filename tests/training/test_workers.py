"""Real processes on this machine: together they do what one of them does alone."""

import numpy as np
import pytest
import tensorflow as tf

from tests import clusters, worker
from tf_facenet.training.workers import LostError, Workers, _who_and_why

FOUR = ["softmax and center loss"]


def run(count, cases, file):
    workers = clusters.addresses(count)
    processes = [clusters.start("-m", "tests.worker", index, workers, file, *cases) for index in range(count)]
    for status, output in clusters.finish(processes):
        assert status == 0, output
    with np.load(file) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def alone():
    known = {}

    def train(case):
        if case not in known:
            known[case] = worker.train(tf.distribute.get_strategy(), case)[1]
        return known[case]

    return train


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return run(2, worker.CASES, tmp_path_factory.mktemp("two") / "variables.npz")


def assert_same(arrays, case, expected):
    for role, values in expected.items():
        for number, value in enumerate(values):
            np.testing.assert_allclose(arrays[f"{case}/{role}/{number:03d}"], value, atol=1e-5, rtol=1e-5, err_msg=role)


@pytest.mark.parametrize("case", worker.CASES)
def test_two_workers_equal_one(two, alone, case):
    assert_same(two, case, alone(case))


def test_four_workers_equal_one(alone, tmp_path):
    arrays = run(4, FOUR, tmp_path / "variables.npz")
    for case in FOUR:
        assert_same(arrays, case, alone(case))


def test_a_single_process_is_the_chief():
    workers = Workers(tf.distribute.get_strategy())
    assert (workers.is_chief, workers.part, workers.exchange({"a": 1})) == (True, (0, 1), [{"a": 1}])


def test_a_lost_worker_is_named_in_one_line():
    workers = Workers(tf.distribute.get_strategy())
    workers.index, workers.count = 1, 3
    message = ("Graph execution error:\n\nCollective ops is aborted by: recvmsg:Connection reset by peer\nAdditional "
               "GRPC error information from remote target /job:worker/replica:0/task:2 while calling RecvBuf:\n")
    with pytest.raises(LostError) as info, workers.together():
        raise tf.errors.UnavailableError(None, None, message)
    assert str(info.value) == ("worker 1 lost worker 2: recvmsg:Connection reset by peer. Stopped; start all workers "
                               "again with --resume")
    assert _who_and_why("something else\nand more") == "worker (unknown): something else"
    assert _who_and_why("Collective ops is aborted by: unhealthy (stopped sending heartbeats):\n/job:worker/replica:0/"
                        "task:1\nThe tasks") == "worker 1: unhealthy (stopped sending heartbeats)"


def test_a_single_process_passes_its_errors_on():
    workers = Workers(tf.distribute.get_strategy())
    with pytest.raises(tf.errors.InternalError), workers.together():
        raise tf.errors.InternalError(None, None, "out of luck")
