"""The one training loop: it serves every tf.distribute strategy, and none.

Keras' ``fit`` cannot run under MultiWorkerMirroredStrategy without changes, nor accumulate
gradients under any strategy, nor resume inside an epoch; this loop does, with a Keras optimizer.
"""

import signal

import numpy as np
import tensorflow as tf

from tf_facenet import environment
from tf_facenet.finite import NonFiniteError
from tf_facenet.training.precision import LossScale, all_finite
from tf_facenet.training.sampling import ClassSampling
from tf_facenet.training.spread import is_spread, per_replica
from tf_facenet.training.workers import Workers, placed


class Loop:
    """Weights, optimizer and average, and how a step changes them.

    Args:
        trainer: `FaceTrainer`, created in the strategy's scope.
        optimizer: Keras optimizer, created in the scope.
        strategy: a tf.distribute strategy (the default one for a single device).
        average: `averages.WeightAverage` created in the scope, or None.
        accumulate: micro-batches that a replica splits its batch into.
        loss_scale: `precision.LossScale` created in the scope, or None.
        jit: whether XLA compiles a micro-batch; for one replica.
        steps_per_execution: steps that TensorFlow does without coming back to Python.
    """

    def __init__(self, trainer, optimizer, strategy, average=None, accumulate=1, *, loss_scale=None, jit=False,
                 steps_per_execution=1):
        self.trainer = trainer
        self.optimizer = optimizer
        self.strategy = strategy
        self.workers = Workers(strategy)
        self.average = average
        self.accumulate = accumulate
        self.loss_scale = loss_scale
        self.steps_per_execution = steps_per_execution
        self.step = 0
        self.batches_state = None  # function of what decides the next batch besides the step, if anything does
        # Keras would clip the gradient of each replica, before it adds them up; here they are added first.
        self.clip_norm, optimizer.global_clipnorm = optimizer.global_clipnorm, None
        optimizer._all_reduce_sum_gradients = list
        if jit:
            self._micro_batch = tf.function(self._micro_batch, jit_compile=True)
        self.shards = [variable for variable in trainer.trainable_variables if is_spread(variable)]
        with strategy.scope():
            with per_replica(f"{variable.path.replace('/', '_')}_" for variable in self.shards):
                optimizer.build(trainer.trainable_variables)
            self.sampling = ClassSampling(trainer.head, optimizer, strategy) if trainer.head.samples else None

    def state(self):
        """Variables that decide the next step, by role."""
        state = {"model": self.trainer.variables, "optimizer": self.optimizer.variables,
                 "average": self.average.averages if self.average else []}
        if self.sampling:
            state["sampling"] = self.sampling.slots
        if self.loss_scale:
            state["loss_scale"] = self.loss_scale.variables
        return {role: self.trainer.head.lasting(variables) for role, variables in state.items()}

    def run(self, batches, last_step, hooks, stop):
        """Train until `last_step`, or until `stop` asks.

        Several workers stop together, after a step for which the hooks are due.

        Args:
            batches: endless global batches (images, labels) that begin at batch ``self.step``: a
                tf.data.Dataset, or an iterator of arrays that is asked for a batch when it is due. Of
                several workers, each has a dataset of its own part of the batches.
            last_step: number of steps of the whole run.
            hooks: object with ``due(step)`` and ``after(steps)``, which gets the terms of all
                steps since it was last due: a list of (step, dict of floats).
            stop: `Stop`.

        Returns:
            Whether it asked.

        Raises:
            NonFiniteError: names the step.
            RuntimeError: see `environment.check_fork`.
        """
        environment.check_fork()
        batches, pending, stopped = map(self._dealt, batches), [], False
        while self.step < last_step and not stopped:
            group = [next(batches) for _ in range(self._group_size(hooks, last_step))]
            for terms in self._train_steps(group, tf.constant(float(bool(stop.signal)))):
                self.step += 1
                pending.append((self.step, terms))
            # Reading a tensor waits for the device, so it is done for several steps at once.
            steps = _read(pending) if hooks.due(self.step) else []
            asked = any([terms.pop("stop", False) for _, terms in steps][-1:])
            if steps:
                hooks.after(steps)
                pending = []
            stopped = self._stopped(stop, asked)
        return stopped

    def _group_size(self, hooks, last_step):
        """How many steps to do at once: as many as nobody wants to look in between, nor chooses batches."""
        if self.batches_state:
            return 1
        for size in range(1, min(self.steps_per_execution, last_step - self.step)):
            if hooks.due(self.step + size):
                return size
        return min(self.steps_per_execution, last_step - self.step)

    def _stopped(self, stop, asked):
        """Whether the run ends here. Workers agree on it by a term of the loss: one may have got a signal alone."""
        if self.workers.count == 1:
            return bool(stop.signal)
        if asked:
            stop.signal = stop.signal or signal.SIGTERM
        return asked

    def _dealt(self, batch):
        """The parts of a batch of this worker for its replicas, on their devices.

        TensorFlow's own way, `experimental_distribute_dataset`, ends in threads that may sleep for a minute before the
        iterator can be closed.
        """
        if self.strategy.num_replicas_in_sync == 1:
            return tuple(map(tf.convert_to_tensor, batch))
        devices = self.strategy.extended.worker_devices
        size = len(batch[0]) // len(devices)

        def part(context):
            place = context.replica_id_in_sync_group % len(devices)
            rows = [array[place * size:(place + 1) * size] for array in batch]
            with tf.device(devices[place]):
                return tuple(map(tf.identity, rows))

        return self.strategy.experimental_distribute_values_from_function(part)

    @tf.function(autograph=False)
    def _train_steps(self, batches, stopping):
        return [self._train_step(*batch, stopping) for batch in batches]

    @tf.function(autograph=False)
    def _train_step(self, images, labels, stopping):
        if self.sampling:
            self.sampling.gather(labels)
        # The optimizer's own: a step that float16 skips does not count for the schedule.
        rate = tf.convert_to_tensor(self.optimizer.learning_rate)
        if self.loss_scale:
            # Whether to apply them is asked outside of the replicas: they could not disagree about it.
            gradients, terms = self.strategy.run(self._gradients, args=(images, labels, stopping))
            terms = self._means(terms)
            terms["loss_scale"] = tf.identity(self.loss_scale.factor.value)
            self.loss_scale.apply(tf.equal(terms.pop("finite"), 1.0),
                                  lambda: self.strategy.run(self._apply, args=(gradients,)))
        else:
            terms = self._means(self.strategy.run(self._replica_step, args=(images, labels, stopping)))
        if self.sampling:
            self.sampling.scatter()
        return {**terms, "learning_rate": rate}

    def _means(self, terms):
        """Means over the replicas, in one message."""
        means = self.strategy.reduce(tf.distribute.ReduceOp.MEAN, self.strategy.run(
            lambda values: tf.stack([tf.cast(value, tf.float32) for value in values]), args=(list(terms.values()),)),
            axis=None)
        return dict(zip(terms, tf.unstack(means, len(terms)), strict=True))

    def _replica_step(self, images, labels, stopping):
        gradients, terms = self._gradients(images, labels, stopping)
        self._apply(gradients)
        return terms

    def _gradients(self, images, labels, stopping):
        """Gradients of the whole batch, clipped, and the terms of this replica's part."""
        total = None
        for part in zip(tf.split(images, self.accumulate), tf.split(labels, self.accumulate), strict=True):
            new = self._micro_batch(*self._after(total, part))
            total = tf.nest.map_structure(tf.add, total, new) if total else new
        gradients, terms = tf.nest.map_structure(lambda sums: sums / self.accumulate, total)
        gradients = self._summed(gradients)
        if self.loss_scale:
            gradients = [gradient / self.loss_scale.factor for gradient in gradients]
            terms["finite"] = all_finite(gradients)
        if self.workers.count > 1:
            terms["stop"] = stopping
        if self.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm, self._norm(gradients))
        return gradients, terms

    def _summed(self, gradients):
        """Sums over the replicas; of its shard of a variable, a replica has the whole gradient already."""
        shared = [place for place, variable in enumerate(self.trainer.trainable_variables) if not is_spread(variable)]
        sums = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.SUM, [gradients[place] for place in shared]) if shared else []
        for place, total in zip(shared, sums, strict=True):
            gradients[place] = total
        return gradients

    def _norm(self, gradients):
        """Length of all gradients together, those of all shards included."""
        own = shared = 0.0
        for gradient, variable in zip(gradients, self.trainer.trainable_variables, strict=True):
            square = tf.reduce_sum(tf.square(gradient))
            own, shared = (own + square, shared) if is_spread(variable) else (own, shared + square)
        if self.shards:
            own = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, placed(own))
        return tf.sqrt(own + shared)

    def _apply(self, gradients):
        if self.average:
            self.average.update(self.optimizer.iterations)
        self.optimizer.apply(gradients, self.trainer.trainable_variables)

    def _after(self, total, part):
        """The next micro-batch, once the one before is done: side by side saves no memory."""
        if not total:
            return part
        with tf.control_dependencies(tf.nest.flatten(total)):
            return tf.nest.map_structure(tf.identity, part)

    def _micro_batch(self, images, labels):
        with tf.GradientTape() as tape:
            tape.watch([variable.value for variable in self.shards])
            features = self.trainer(images, training=True)
            terms = self.trainer.terms(features, labels, training=True)
            # The gradients of all replicas are added up.
            loss = terms["loss"] / self.strategy.num_replicas_in_sync
            if self.loss_scale:
                loss *= self.loss_scale.factor
        return tape.gradient(loss, [variable.value for variable in self.trainer.trainable_variables],
                             unconnected_gradients=tf.UnconnectedGradients.ZERO), terms


def _read(pending):
    steps = [(step, {name: float(value) for name, value in terms.items()})
             for step, terms in pending]
    for step, terms in steps:
        if not np.isfinite(terms["loss"]):
            raise NonFiniteError(f"the loss is {terms['loss']} at step {step}")
        if terms.get("loss_scale", 1.0) < LossScale.LEAST:
            raise NonFiniteError(f"gradients overflow float16 even with a loss scale of {terms['loss_scale']:g}, at "
                                 f"step {step}; --precision bfloat16 cannot")
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
