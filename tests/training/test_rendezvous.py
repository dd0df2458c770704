"""The workers meet: all come, one does not, one is another than it should be."""

import concurrent.futures
import json
import socket

import pytest

from benchmarks.ports import free_addresses
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import agreement, rendezvous
from tf_facenet.training.cluster import Cluster


def meet(*clusters, options=None, wait=10):
    """What each of the workers gets: None or its error."""
    options = options or [{"batch_size": 8}] * len(clusters)
    with concurrent.futures.ThreadPoolExecutor(len(clusters)) as pool:
        futures = [pool.submit(rendezvous.meet, cluster, each, wait)
                   for cluster, each in zip(clusters, options, strict=True)]
        return [future.exception() for future in futures]


def test_all_come():
    addresses = free_addresses(4)
    assert meet(*(Cluster(addresses, index) for index in (3, 0, 2, 1))) == [None] * 4


def test_strangers_are_sent_away():
    """Something that looks for open ports, and says nothing or nonsense."""
    addresses = free_addresses(2)
    port = int(addresses[0].split(":")[1])

    def knock():
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"{}\n", b""):
            rendezvous.time.sleep(0.05)
            with socket.create_connection(("localhost", port), timeout=5) as stranger:
                stranger.sendall(words)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        chief = pool.submit(rendezvous.meet, Cluster(addresses, 0), {}, 10)
        knock()
        rendezvous.meet(Cluster(addresses, 1), {}, 10)
        assert chief.result() is None


def test_other_options_are_named():
    addresses = free_addresses(2)
    errors = meet(Cluster(addresses, 0), Cluster(addresses, 1), options=[{"batch_size": 8}, {"batch_size": 16}])
    assert [str(error) for error in errors] == [
        "--batch_size is 16 for worker 1 and 8 for the chief; start all with the same options"] * 2


def test_other_lists_of_workers():
    a, b, c = free_addresses(3)
    errors = meet(Cluster((a, b), 0), Cluster((a, c), 1))
    assert all(isinstance(error, ValueError) for error in errors)
    assert str(errors[0]).startswith(f"the lists of workers differ: worker 1 has {a},{c}, the chief {a},{b}; give")


def test_two_processes_with_one_index():
    """On two machines: on one the second finds its port in use."""
    addresses = free_addresses(3)
    words = json.dumps({"index": 1, "workers": addresses, "options": {}}).encode() + b"\n"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        chief = pool.submit(rendezvous.meet, Cluster(addresses, 0), {}, 10)
        rendezvous.time.sleep(0.1)
        twins = [socket.create_connection(("localhost", int(addresses[0].split(":")[1])), timeout=5) for _ in range(2)]
        for twin in twins:
            twin.sendall(words)
        error = str(chief.exception())
    assert error == "two processes say that they are worker 1; give each its own --worker_index"
    for twin in twins:
        assert json.loads(twin.makefile().readline())["error"] == error
        twin.close()


def test_a_worker_that_does_not_come_is_named():
    addresses = free_addresses(3)
    errors = meet(Cluster(addresses, 0), Cluster(addresses, 1), wait=0.5)
    assert isinstance(errors[0], OSError)
    assert str(errors[0]).startswith(f"worker 2 ({addresses[2]}) did not come; start all workers")
    assert errors[1] is not None


def test_a_chief_that_does_not_come():
    addresses = free_addresses(2)
    with pytest.raises(OSError, match=f"the chief does not answer at {addresses[0]}; start worker 0"):
        rendezvous.meet(Cluster(addresses, 1), {}, 0.3)


def test_a_port_in_use():
    with socket.create_server(("", 0)) as other:
        addresses = (f"localhost:{other.getsockname()[1]}", "localhost:2")
        with pytest.raises(OSError, match="worker 0 is localhost:.* is in use on this machine; end the process"):
            rendezvous.meet(Cluster(addresses, 0), {})


def test_what_a_worker_may_have_for_itself():
    left, right = (agreement.shared_options(SoftmaxOptions(**options)) for options in (
        {"quiet": True, "data_dir": "/data/a", "workers": "a:1,b:1", "worker_index": 0},
        {"data_dir": "/mnt/a", "workers": "a:1,b:1", "worker_index": 1}))
    assert left == right
    assert left["batch_size"] == 90
