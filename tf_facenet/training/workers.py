"""The processes of a training, and what they tell each other while it runs."""

import contextlib
import json
import re

import numpy as np
import tensorflow as tf

LONGEST = 4096  # bytes of what one worker tells at a time
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError, tf.errors.CancelledError,
        tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError, tf.errors.UnknownError)


class LostError(ConnectionError):
    """Another worker is gone."""


class Workers:
    """The workers of a strategy; a single process is the only one, and the chief.

    Args:
        strategy: a tf.distribute strategy.

    Attributes:
        index: which of them this process is; 0, the chief, writes the run folder.
        count: how many there are.
    """

    def __init__(self, strategy):
        resolver = strategy.cluster_resolver
        self.strategy = strategy
        self.index = resolver.task_id if resolver else 0
        self.count = resolver.cluster_spec().num_tasks("worker") if resolver else 1

    @property
    def is_chief(self):
        """Whether this process writes the run folder."""
        return self.index == 0

    @property
    def part(self):
        """``(index, count)``, as `data.batches.training_batches` takes it."""
        return self.index, self.count

    def exchange(self, value=None):
        """What all workers say, in their order; returns when the last one has said it.

        Args:
            value: anything that JSON holds, in at most LONGEST bytes.

        Raises:
            ValueError: it is longer.
        """
        if self.count == 1:
            return [value]
        text = json.dumps(value).encode()
        if len(text) > LONGEST:
            raise ValueError(f"a worker tells {len(text)} bytes; expected at most {LONGEST}")
        row = tf.constant(np.frombuffer(text.ljust(LONGEST), np.uint8)[np.newaxis], tf.int32)
        with self.together():
            rows = self.strategy.experimental_local_results(self._gathered(row))[0].numpy()
        one_each = rows[::len(rows) // self.count].astype(np.uint8)
        return [json.loads(row.tobytes()) for row in one_each]

    @contextlib.contextmanager
    def together(self):
        """A block in which workers wait for each other.

        Raises:
            LostError: what TensorFlow says in many ways when one of them is gone.
        """
        try:
            yield
        except LOST as error:
            if self.count == 1:
                raise
            raise LostError(f"worker {self.index} lost {_who_and_why(error.message)}. Stopped; start all workers again "
                            "with --resume") from None

    @tf.function(reduce_retracing=True, autograph=False)
    def _gathered(self, row):
        def in_replica(row):
            return tf.distribute.get_replica_context().all_gather(placed(row), axis=0)

        return self.strategy.run(in_replica, (row,))


def _who_and_why(message):
    """Of TensorFlow's many lines those that say which worker is gone."""
    reason = message.rpartition("aborted by: ")[2]
    who = re.search(r"/replica:0/task:(\d+)", reason)
    return f"worker {who[1] if who else '(unknown)'}: {reason.splitlines()[0].rstrip(':'):.200}"


def placed(tensor):
    """The tensor on the device of the replica that asks.

    A collective of several workers wants to know it, and inside a tf.function a tensor has none.
    """
    context = tf.distribute.get_replica_context()
    devices = context.strategy.extended.worker_devices
    replica = int(tf.get_static_value(context.replica_id_in_sync_group))  # inside a tf.function it is a tensor
    with tf.device(devices[replica % len(devices)]):
        return tf.identity(tensor)
