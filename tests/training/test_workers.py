"""Several devices of a process, and several processes: together they do what one device does alone."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.ports import free_addresses
from tests import clusters, worker
from tf_facenet.training.workers import LostError, Workers, _who_and_why


def workers(count):
    """The flags of each process."""
    addresses = ",".join(free_addresses(count))
    return [("--workers", addresses, "--worker_index", index) for index in range(count)]


def devices(count):
    return [("--strategy", "mirrored", "--num_devices", count)]


@pytest.fixture(scope="module")
def alone():
    """The variables of all cases by name, as one device leaves them."""
    return worker.train_all(tf.distribute.get_strategy())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [(devices, 4), (workers, 2), (workers, 4)])
def test_together_they_equal_one(kind, count, alone, zygote, tmp_path):
    file = tmp_path / "variables.npz"
    processes = [zygote.start("tests.worker:main", str(file), *map(str, flags), output=tmp_path / f"output{index}")
                 for index, flags in enumerate(kind(count))]
    for status, output in clusters.finish(processes):
        assert status == 0, output
    with np.load(file) as arrays:
        assert set(arrays) == set(alone)
        for name, expected in alone.items():
            # Sums in another order: after twenty steps one number of all differed by 1.1e-5, with AVX-512.
            np.testing.assert_allclose(arrays[name], expected, atol=2e-5, rtol=1e-5, err_msg=name)


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
