"""The one training loop: it serves every tf.distribute strategy, and none.

Keras' ``fit`` cannot run under MultiWorkerMirroredStrategy without changes, nor accumulate
gradients under any strategy, nor resume inside an epoch; this loop does, with a Keras optimizer.
"""

import signal

import numpy as np
import tensorflow as tf

from tf_facenet.training.sampling import ClassSampling


class NonFiniteError(ValueError):
    """The loss or a weight became NaN or infinite."""


class Loop:
    """Weights, optimizer and average, and how a step changes them.

    Args:
        trainer: `FaceTrainer`, created in the strategy's scope.
        optimizer: Keras optimizer, created in the scope.
        strategy: a tf.distribute strategy (the default one for a single device).
        average: `optimizers.WeightAverage` created in the scope, or None.
        accumulation_steps: micro-batches that a replica splits its batch into.
    """

    def __init__(self, trainer, optimizer, strategy, average=None, accumulation_steps=1):
        self.trainer = trainer
        self.optimizer = optimizer
        self.strategy = strategy
        self.average = average
        self.accumulation_steps = accumulation_steps
        self.step = 0
        self.batches_state = dict  # what besides the step decides the next batch
        # Keras would clip the gradient of each replica, before it adds them up.
        self.clip_norm, optimizer.global_clipnorm = optimizer.global_clipnorm, None
        with strategy.scope():
            optimizer.build(trainer.trainable_variables)
            self.sampling = ClassSampling(trainer.head, optimizer) if trainer.head.samples else None

    def state(self):
        """Variables that decide the next step, by role."""
        state = {"model": self.trainer.variables, "optimizer": self.optimizer.variables,
                 "average": self.average.averages if self.average else []}
        return {**state, "sampling": self.sampling.slots} if self.sampling else state

    def run(self, batches, last_step, hooks, stop):
        """Train until `last_step`, or until `stop` asks.

        Args:
            batches: endless global batches (images, labels) that begin at batch ``self.step``: a
                tf.data.Dataset, or an iterator of arrays that is asked for a batch when it is due.
            last_step: number of steps of the whole run.
            hooks: object with ``due(step)`` and ``after(steps)``, which gets the terms of all
                steps since it was last due: a list of (step, dict of floats).
            stop: `Stop`.

        Raises:
            NonFiniteError: names the step.
        """
        batches = (iter(self.strategy.experimental_distribute_dataset(batches))
                   if isinstance(batches, tf.data.Dataset) else map(self._dealt, batches))
        pending = []
        while self.step < last_step and not stop.signal:
            terms = self._train_step(*next(batches))
            self.step += 1
            pending.append((self.step, terms))
            if hooks.due(self.step):
                # Reading a tensor waits for the device, so it is done for several steps at once.
                hooks.after(_read(pending))
                pending = []

    def _dealt(self, batch):
        """Each replica's part of a batch."""
        size = len(batch[0]) // self.strategy.num_replicas_in_sync

        def part(context):
            begin = context.replica_id_in_sync_group * size
            return tuple(tf.convert_to_tensor(array[begin:begin + size]) for array in batch)

        return self.strategy.experimental_distribute_values_from_function(part)

    @tf.function
    def _train_step(self, images, labels):
        if self.sampling:
            self.sampling.gather(self.strategy.gather(labels, axis=0))
        terms = self.strategy.run(self._replica_step, args=(images, labels))
        if self.sampling:
            self.sampling.scatter()
        return {name: self.strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
                for name, value in terms.items()}

    def _replica_step(self, images, labels):
        variables = self.trainer.trainable_variables
        total = None
        for part in zip(tf.split(images, self.accumulation_steps),
                        tf.split(labels, self.accumulation_steps), strict=True):
            new = self._gradients(variables, *self._after(total, part))
            total = tf.nest.map_structure(tf.add, total, new) if total else new
        gradients, terms = tf.nest.map_structure(lambda sums: sums / self.accumulation_steps, total)
        if self.average:
            self.average.update(self.optimizer.iterations)
        self.optimizer.apply(self._clipped(gradients), variables)
        return terms

    def _clipped(self, gradients):
        """Each replica's gradients such that their sum is no longer than `clip_norm`."""
        if not self.clip_norm:
            return gradients
        replicas = tf.distribute.get_replica_context()
        sums = replicas.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        clipped, _ = tf.clip_by_global_norm(sums, self.clip_norm)
        return [gradient / replicas.num_replicas_in_sync for gradient in clipped]

    def _after(self, total, part):
        """The next micro-batch, once the one before is done: side by side saves no memory."""
        if not total:
            return part
        with tf.control_dependencies(tf.nest.flatten(total)):
            return tf.nest.map_structure(tf.identity, part)

    def _gradients(self, variables, images, labels):
        with tf.GradientTape() as tape:
            features = self.trainer(images, training=True)
            terms = self.trainer.terms(features, labels, training=True)
            # The optimizer adds up the gradients of all replicas.
            loss = terms["loss"] / self.strategy.num_replicas_in_sync
        return tape.gradient(loss, [variable.value for variable in variables],
                             unconnected_gradients=tf.UnconnectedGradients.ZERO), terms


def _read(pending):
    steps = [(step, {name: float(value) for name, value in terms.items()})
             for step, terms in pending]
    for step, terms in steps:
        if not np.isfinite(terms["loss"]):
            raise NonFiniteError(f"the loss is {terms['loss']} at step {step}")
    return steps


class Stop:
    """Notes SIGTERM and Ctrl-C instead of dying of them; a second one interrupts at once."""

    def __init__(self):
        self.signal = None

    def __enter__(self):
        self._previous = {number: signal.signal(number, self._note)
                          for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _note(self, number, frame):
        if self.signal:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
