"""Class sampling (PartialFC): a step reads, trains and writes back a part of the centres.

An optimizer of Keras updates whole variables. So the rows of a step, and what the optimizer keeps
for them, are copied into small variables before the step and back after it: the others get neither
momentum nor decay, and cost neither time nor memory. Any optimizer works. Of a head whose classes
are spread, each replica does this with its own.
"""

import logging

import keras
import tensorflow as tf

from tf_facenet.training import spread
from tf_facenet.training.distribution import all_rows

logger = logging.getLogger(__name__)


class ClassSampling:
    """The centres of a head that samples, with the optimizer's state for each.

    Args:
        head: a `CosineHead` with ``samples``, or a `sharding.ShardedHead` of one.
        optimizer: a Keras optimizer, built; create this in the strategy's scope.
        strategy: a tf.distribute strategy.

    Attributes:
        parts: how many parts the classes are in, each with a draw of its own.
    """

    def __init__(self, head, optimizer, strategy):
        self.head, self.optimizer, self.strategy = head, optimizer, strategy
        self.parts = head.spread.num_replicas if head.spread else 1
        parts = _slots(optimizer, head.sampled_centers)
        head.transient |= set(map(id, parts))
        with spread.per_replica(("",) if head.spread else ()):
            self.slots = [
                keras.Variable(keras.initializers.Constant(float(spread.components(part)[0][0, 0])),
                               shape=head.centers.shape, trainable=False, name=part.name,
                               aggregation="only_first_replica")
                for part in parts]
        self._copies = [(head.centers, head.sampled_centers), *zip(self.slots, parts, strict=True)]

    def gather(self, labels):
        """Draw the classes of a step for all its labels, [B] on each replica, and read their rows."""
        if self.head.spread:
            seed = self.head.seed_generator.next()
            self.strategy.run(lambda labels: self._read(self.head.draw(all_rows(labels), seed)), args=(labels,))
        else:
            own = self.strategy.experimental_local_results(labels)[0]
            size = own.shape[0] * self.strategy.num_replicas_in_sync  # of several workers gather does not know it
            self._read(self.head.draw(tf.ensure_shape(self.strategy.gather(labels, axis=0), [size])))

    def scatter(self):
        """Write the rows of the step back."""
        if self.head.spread:
            self.strategy.run(self._write)
        else:
            self._write()

    def resumed(self, parts):
        """Say so if a run that is resumed had its classes in other parts: how many are drawn from each differs."""
        if parts != self.parts:
            logger.warning("Parts of the classes: %s, before %s. The run goes on with other draws of --sample_rate, "
                           "from the same centres and momentum", self.parts, parts)

    def _read(self, classes):
        self.head.sampled_classes.assign(classes)
        rows = self.head.rows(classes)
        for whole, part in self._copies:
            part.assign(tf.gather(whole.value, rows))

    def _write(self):
        rows = self.head.rows(self.head.sampled_classes.value)
        for whole, part in self._copies:
            spread.write_rows(whole, rows, tf.convert_to_tensor(part.value))


def _slots(optimizer, variable):
    """The optimizer's own variables for a variable, such as its velocity."""
    prefix = f"{optimizer.name}/{variable.path.replace('/', '_')}_"
    return [slot for slot in optimizer.variables
            if slot.path.startswith(prefix) and slot.shape == variable.shape]
