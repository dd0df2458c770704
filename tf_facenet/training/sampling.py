"""Class sampling (PartialFC): a step reads, trains and writes back a part of the centres.

An optimizer of Keras updates whole variables. So the rows of a step, and what the optimizer keeps
for them, are copied into small variables before the step and back after it: the others get neither
momentum nor decay, and cost neither time nor memory. Any optimizer works.
"""

import keras
import tensorflow as tf


class ClassSampling:
    """The centres of a head that samples, with the optimizer's state for each.

    Args:
        head: a `CosineHead` with ``samples``.
        optimizer: a Keras optimizer, built; create this in the strategy's scope.
    """

    def __init__(self, head, optimizer):
        self.head = head
        parts = _slots(optimizer, head.sampled_centers)
        self.slots = [
            keras.Variable(keras.initializers.Constant(float(part[0, 0])), shape=head.centers.shape,
                           trainable=False, name=part.name, aggregation="only_first_replica")
            for part in parts]
        self._copies = [(head.centers, head.sampled_centers), *zip(self.slots, parts, strict=True)]

    def gather(self, labels):
        """Draw the classes of a step for all its labels [B] and read their rows."""
        classes = self.head.draw(labels)
        self.head.sampled_classes.assign(classes)
        rows = self.head.rows(classes)
        for whole, part in self._copies:
            part.assign(tf.gather(whole.value, rows))

    def scatter(self):
        """Write the rows of the step back."""
        rows = self.head.rows(self.head.sampled_classes.value)
        for whole, part in self._copies:
            whole.value.scatter_update(tf.IndexedSlices(tf.convert_to_tensor(part.value), rows))


def _slots(optimizer, variable):
    """The optimizer's own variables for a variable, such as its velocity."""
    prefix = f"{optimizer.name}/{variable.path.replace('/', '_')}_"
    return [slot for slot in optimizer.variables
            if slot.path.startswith(prefix) and slot.shape == variable.shape]
