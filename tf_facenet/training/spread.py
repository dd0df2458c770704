"""Variables whose rows are spread over the replicas: each replica holds its own, nobody all of them.

TensorFlow calls them synchronised on read and never aggregates them; that is what a shard needs: in a
replica they read and write as any variable, without a collective.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from tf_facenet.training.workers import placed

BLOCK_BYTES = 2**24  # of rows that are brought together at a time


class Spread:
    """How classes are dealt to replicas: neighbours together, and each replica as many, or one less.

    Replica r of R has the classes r·C/R up to (r + 1)·C/R, both rounded down.

    Args:
        strategy: a tf.distribute strategy.
        num_classes: C.
        rows_per_class: K rows of each variable belong to a class.

    Attributes:
        per_replica: the classes that a replica has room for; the room of one that has fewer ends in
            rows of zeros.

    Raises:
        ValueError: there are fewer classes than replicas.
    """

    def __init__(self, strategy, num_classes, rows_per_class=1):
        self.strategy = strategy
        self.num_replicas = strategy.num_replicas_in_sync
        self.num_classes, self.rows_per_class = num_classes, rows_per_class
        if num_classes < self.num_replicas:
            raise ValueError(f"--shard_classes spreads {num_classes} classes over {self.num_replicas} devices; "
                             "expected at least one for each. Leave it out: so few need little memory")
        self.edges = np.arange(self.num_replicas + 1) * num_classes // self.num_replicas
        self.per_replica = -(-num_classes // self.num_replicas)
        self._rows = {}  # of the variables that were asked for; each is traced once

    @property
    def is_even(self):
        """Whether all replicas have the same number of classes."""
        return self.num_classes % self.num_replicas == 0

    def own(self):
        """First class of the replica that asks, and number of its classes: int32 scalars."""
        edges = tf.constant(self.edges, tf.int32)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return edges[replica], edges[replica + 1] - edges[replica]

    def parts(self, variable):
        """``(replica, tf.Variable)`` of each replica of this process."""
        replicas = self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(context.replica_id_in_sync_group))
        return [(int(replica), part) for replica, part in zip(
            self.strategy.experimental_local_results(replicas), components(variable), strict=True)]

    def fill(self, variable, read):
        """Give a variable its values.

        Args:
            variable: a spread Keras variable.
            read: (first, count) → array [count, …] of the rows in class order.
        """
        for replica, part in self.parts(variable):
            first, last = self.edges[replica:replica + 2] * self.rows_per_class
            values = read(int(first), int(last - first))
            part.assign(np.pad(values, [(0, part.shape[0] - len(values)), *[(0, 0)] * (values.ndim - 1)]))

    def in_class_order(self, variables):
        """The variables, with a `Rows` for each one that is spread."""
        return [self._rows.setdefault(id(variable), Rows(variable, self)) if is_spread(variable) else variable
                for variable in variables]


class Rows:
    """A spread variable as a checkpoint sees it: [C·K, …] in class order, without padding.

    Nothing here ever holds all rows at once, except `__array__`, which is for small ones.
    """

    def __init__(self, variable, spread):
        self.path, self.dtype = variable.path, variable.dtype
        self.shape = (spread.num_classes * spread.rows_per_class, *variable.shape[1:])
        self._variable, self._spread = variable, spread
        self._block = tf.function(self._block, autograph=False)

    def blocks(self):
        """Yield arrays that make up the whole, one after the other; all workers must ask together."""
        spread = self._spread
        count = max(1, BLOCK_BYTES // (4 * int(np.prod(self.shape[1:]))))
        for replica in range(spread.num_replicas):
            size = int(spread.edges[replica + 1] - spread.edges[replica]) * spread.rows_per_class
            for first in range(0, size, count):
                rows = np.arange(first, min(first + count, size))
                block = self._block(tf.constant(replica), tf.constant(np.resize(rows, count)))
                yield spread.strategy.experimental_local_results(block)[0].numpy()[:len(rows)]

    def _block(self, replica, rows):
        """Rows of one replica, for all: the others add zeros to them."""
        def run(replica, rows):
            context = tf.distribute.get_replica_context()
            mine = tf.gather(self._variable.value, rows)
            mine = tf.where(tf.equal(replica, context.replica_id_in_sync_group), mine, tf.zeros_like(mine))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, placed(mine))

        return self._spread.strategy.run(run, (replica, rows))

    def fill(self, read):
        """Take the rows of this process's replicas; see `Spread.fill`."""
        self._spread.fill(self._variable, read)

    def __array__(self, dtype=None, copy=None):
        return np.concatenate(list(self.blocks())).astype(dtype or self.dtype)


@contextlib.contextmanager
def per_replica(prefixes=("",)):
    """A block in which Keras variables are made such that each replica has its own values.

    Args:
        prefixes: of the names of those that shall; others are made as always.
    """
    prefixes = tuple(prefixes)

    def create(next_creator, **arguments):
        if str(arguments.get("name")).startswith(prefixes):
            arguments.update(trainable=False, synchronization=tf.VariableSynchronization.ON_READ,
                             aggregation=tf.VariableAggregation.NONE)
        return next_creator(**arguments)

    with tf.variable_creator_scope(create):
        yield


def is_spread(variable):
    """Whether each replica has its own values of a Keras variable."""
    return variable.value.synchronization == tf.VariableSynchronization.ON_READ


def components(variable):
    """The tf.Variable of each replica of this process that a Keras variable stands for."""
    return getattr(variable.value, "values", (variable.value,))


def write_rows(variable, rows, values):
    """Replace some rows of a Keras variable [N, …]; of a spread one in a replica, of others outside."""
    if is_spread(variable):  # TensorFlow has no method for it
        tf.raw_ops.ResourceScatterUpdate(resource=variable.value.handle, indices=rows, updates=values)
    else:
        variable.value.scatter_update(tf.IndexedSlices(values, rows))


def copy(variable, name):
    """A Keras variable with the values of another one, spread if that is; made in the strategy's scope."""
    with per_replica(("",) if is_spread(variable) else ()):
        made = keras.Variable("zeros", shape=variable.shape, dtype=variable.dtype, trainable=False, name=name,
                              aggregation="only_first_replica")
    for mine, theirs in zip(components(made), components(variable), strict=True):
        mine.assign(theirs)
    return made
