"""The workers meet before TensorFlow starts: it would wait for ever for one that never comes or has another list.

Each worker says to the chief who it is; the chief tells all of them whether they fit together. One line of JSON each
way, over the chief's own address, which TensorFlow uses afterwards.
"""

import errno
import json
import logging
import socket
import time

from tf_facenet.training.cluster import split_address

logger = logging.getLogger(__name__)

WAIT = 600.0  # seconds until all workers must have come
LONGEST = 2**20  # bytes of a line


def meet(cluster, options, wait=WAIT):
    """Return when all workers are there and have the same options.

    Args:
        cluster: `cluster.Cluster`.
        options: dict of what must not differ between workers, values as JSON has them.
        wait: seconds.

    Raises:
        OSError: the port is in use, or a worker or the chief did not come in time.
        ValueError: the lists of workers or the options differ; the message names the first difference.
    """
    words = {"index": cluster.index, "workers": list(cluster.addresses), "options": options}
    deadline = time.monotonic() + wait
    with _listener(cluster) as server:
        if cluster.is_chief:
            _gather(server, cluster, json.loads(json.dumps(words)), deadline)
            return
    error = _introduce(cluster, words, deadline)
    if error:
        raise ValueError(error)


def _listener(cluster):
    host, port = split_address(cluster.address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(f"worker {cluster.index} is {cluster.address}, but port {port} is in use on this machine; end "
                      "the process that has it (an older run?), or choose another port for all workers") from None


def _gather(server, cluster, own, deadline):
    """The chief's side."""
    came = {}
    try:
        while len(came) < len(cluster.addresses) - 1:
            connection = _accept(server, cluster, came, deadline)
            try:
                words = _read(connection, min(deadline, time.monotonic() + 5))
                index, error = words["index"], difference(own, words)
            except (ValueError, LookupError, TypeError, OSError):  # somebody else who looks for open ports
                connection.close()
                continue
            if index in came:
                error = f"two processes say that they are worker {index}; give each its own --worker_index"
            came[index if index not in came else -1] = connection
            if error:
                raise ValueError(error)
    except (ValueError, OSError) as error:
        _answer(came, str(error))
        raise
    _answer(came, "")


def _accept(server, cluster, came, deadline):
    while True:
        missing = [f"{index} ({address})" for index, address in enumerate(cluster.addresses)
                   if index and index not in came]
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"worker {', '.join(missing)} did not come; start all workers, with the same --workers, "
                               f"and see that they reach {cluster.address}")
        server.settimeout(min(left, 30))
        try:
            return server.accept()[0]
        except TimeoutError:
            logger.info("Waiting for worker %s", ", ".join(missing))


def difference(chief, worker):
    """What a worker has otherwise than the chief, as a message, or an empty text.

    Args:
        chief: dict of index, workers and options.
        worker: the same of the other.
    """
    who = f"worker {worker['index']}"
    if worker["workers"] != chief["workers"]:
        return (f"the lists of workers differ: {who} has {','.join(worker['workers'])}, the chief "
                f"{','.join(chief['workers'])}; give all of them the same, in the same order")
    for name in sorted(set(chief["options"]) | set(worker["options"])):
        here, there = chief["options"].get(name), worker["options"].get(name)
        if here != there:
            return f"--{name} is {there!r} for {who} and {here!r} for the chief; start all with the same options"
    return ""


def _introduce(cluster, words, deadline):
    """The other workers' side: what the chief answers."""
    chief = split_address(cluster.addresses[0])
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the chief does not answer at {cluster.addresses[0]}; start worker 0, and see that "
                               "this machine reaches it")
        try:
            with socket.create_connection(chief, timeout=min(left, 5)) as connection:
                connection.sendall(json.dumps(words).encode() + b"\n")
                return _read(connection, deadline)["error"]
        except (ConnectionError, ValueError, TimeoutError, socket.gaierror):  # not there yet
            time.sleep(0.2)


def _read(connection, deadline):
    connection.settimeout(max(deadline - time.monotonic(), 0.1))
    with connection.makefile("rb") as file:
        return json.loads(file.readline(LONGEST))


def _answer(came, error):
    for connection in came.values():
        with connection:
            try:
                connection.sendall(json.dumps({"error": error}).encode() + b"\n")
            except OSError:  # it will notice by itself
                logger.debug("a worker left before it was answered")
