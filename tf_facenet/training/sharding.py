"""A head whose classes are spread over the replicas: each holds the centres of its own, nobody all of them.

Features and labels of the whole batch go to every replica, which compares them with its own centres. The
softmax over all classes comes from a few numbers of each replica per image, so that no logits are exchanged.
The idea is that of insightface's PartialFC (arXiv:2010.05222); sampling works inside each replica, as there.
"""

import keras
import numpy as np
import tensorflow as tf

from tf_facenet import heads
from tf_facenet.heads.cosine import EXCLUDED, CosineHead
from tf_facenet.heads.head import Head
from tf_facenet.training import spread
from tf_facenet.training.distribution import all_rows
from tf_facenet.training.workers import placed

CHUNK = 1024  # classes whose centres are drawn with one seed


def create_head(options, num_classes, strategy):
    """The head that the options describe; its classes are spread if they say so and there are several replicas.

    Args:
        options: `options.SoftmaxOptions`.
        num_classes: C.
        strategy: a tf.distribute strategy; call this in its scope.

    Raises:
        ValueError: fewer classes than replicas.
    """
    if not options.shard_classes or strategy.num_replicas_in_sync == 1:
        return heads.create(options.head, num_classes, options.embedding_size, **options.head_options)
    head = ShardedHead(heads.make(options.head, num_classes, **options.head_options), strategy, options.seed)
    head.build((None, options.embedding_size))
    return head


class ShardedHead(Head):
    """A `CosineHead` of which each replica of a strategy holds the centres of its own classes.

    Cross-entropy, gradients and accuracy are those of the whole head up to rounding. At the start centres are
    N(0, 0.01²) and do not depend on the number of replicas.

    Args:
        whole: `CosineHead` that says what is computed; it is never built.
        strategy: a tf.distribute strategy of several replicas; create and build this in its scope.
        seed: of the first centres.

    Attributes:
        centers: spread variable, [⌈C/R⌉·K, D] on each of R replicas.
    """

    def __init__(self, whole, strategy, seed=0):
        if not isinstance(whole, CosineHead):
            raise ValueError(f"the classes of the head {whole.name!r} cannot be spread over devices; expected one with "
                             "cosines, such as arcface")
        super().__init__(whole.num_classes, whole.name)
        self.whole, self.seed = whole, seed
        self.sub_centers, self.sample_rate, self.samples = whole.sub_centers, whole.sample_rate, whole.samples
        self.spread = spread.Spread(strategy, whole.num_classes, whole.sub_centers)
        each = whole.num_classes / self.spread.num_replicas
        self._sampled_each = min(max(1, round(self.sample_rate * each)), int(each))

    @property
    def num_sampled(self):
        """Number of classes in a training step, over all replicas."""
        return self._sampled_each * self.spread.num_replicas

    def build(self, features_shape, labels_shape=None):
        width, rows = features_shape[-1], self.spread.per_replica * self.sub_centers
        if self.samples:
            self.seed_generator = keras.random.SeedGenerator(self.whole.seed)
        with spread.per_replica():
            self.centers = self.add_weight(name="centers", shape=(rows, width), initializer="zeros",
                                           trainable=not self.samples)
            if self.samples:
                self.sampled_centers = self.add_weight(
                    name="sampled_centers", shape=(self._sampled_each * self.sub_centers, width), initializer="zeros")
                self.sampled_classes = self.add_weight(
                    name="sampled_classes", shape=(self._sampled_each,), initializer="zeros", dtype="int32",
                    trainable=False)
                self.transient = frozenset(map(id, (self.sampled_centers, self.sampled_classes)))
        self.spread.fill(self.centers, lambda first, count: self._first_centers(first, count, width))
        self.built = True

    def _first_centers(self, first, count, width):
        """Rows first … first + count − 1 of the centres [C·K, D] that training starts with."""
        centers = np.empty((count, width), "float32")
        for chunk in range(first // CHUNK, -(-(first + count) // CHUNK)):
            drawn = tf.random.stateless_normal((CHUNK, width), (self.seed, chunk), stddev=0.01).numpy()
            begin, end = max(first, chunk * CHUNK), min(first + count, (chunk + 1) * CHUNK)
            centers[begin - first:end - first] = drawn[begin - chunk * CHUNK:end - chunk * CHUNK]
        return centers

    def draw(self, labels, seed):
        """In a replica: those of its classes that a step sees, numbered from its first, sorted.

        Args:
            labels: [G] of the whole batch; those that are the replica's own are drawn.
            seed: [2] integers of the `seed_generator` that decide about the others.
        """
        first, count = self.spread.own()
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        order = tf.random.stateless_uniform((self.spread.per_replica,), tf.stack(
            [seed[0] * self.spread.num_replicas + tf.cast(replica, seed.dtype), seed[1]]))
        order = tf.where(tf.range(self.spread.per_replica) < count, order, -1.0)
        own, targets = _among(labels - first, count)
        order = tf.tensor_scatter_nd_max(order, targets[:, None], tf.where(own, 2.0, -1.0))
        return tf.sort(tf.math.top_k(order, self._sampled_each, sorted=False).indices)

    def rows(self, classes):
        """Rows of `centers` that belong to classes [n], numbered from the replica's first: [n·K]."""
        return self.whole.rows(classes)

    def check_batch(self, batch_size):
        if batch_size > self._sampled_each and self.samples:
            raise ValueError(
                f"sample_rate {self.sample_rate} of {self.num_classes} classes on {self.spread.num_replicas} devices "
                f"is {self._sampled_each} on each; a batch of {batch_size} may hold more of them. Raise the rate or "
                "lower the batch size")

    def scores(self, features, labels, training=False):
        raise ValueError(f"the classes are spread over {self.spread.num_replicas} devices, so that none has the "
                         "scores of all; expected a call of cross_entropy, or a head without shard_classes")

    def cross_entropy(self, features, labels, training=False):
        """As `Head.cross_entropy`: mean over the batch of all replicas.

        In a replica and in training, features [B, D] and labels [B] are its part of the batch. Else they are
        the batch, the same on all replicas.
        """
        return self._on_replicas(lambda *batch: self._cross_entropy(*batch, training), features, labels)

    def summed(self, function):
        # The sum over R shards is the mean of R times each; so it also is for the gradient of each shard.
        return self._on_replicas(lambda: self.spread.num_replicas * function(self.trainable_variables))

    def lasting(self, variables):
        return self.spread.in_class_order(super().lasting(variables))

    def fill(self, rows):
        """Give the centres the values rows [C·K, D]."""
        self.spread.fill(self.centers, lambda first, count: rows[first:first + count])

    def penalty(self, features):
        return self.whole.penalty(features)

    def _on_replicas(self, function, *arguments):
        """What a function gives in the replica that asks; outside, the mean over replicas with the same arguments."""
        if tf.distribute.has_strategy() and not tf.distribute.in_cross_replica_context():
            return function(*arguments)

        @tf.function(autograph=False)  # else TensorFlow reduces in a pool of threads, which a lost worker leaves open
        def on_all(*values):
            strategy = self.spread.strategy
            return tf.nest.map_structure(lambda value: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None),
                                         strategy.run(function, values))

        return on_all(*arguments)

    def _cross_entropy(self, features, labels, training):
        if training:
            features, labels = all_rows(features), all_rows(labels)
        own, targets, scores = self._own_scores(features, labels, training)
        places = tf.stack([tf.range(tf.size(targets)), targets], axis=1)
        cosine = _sum(tf.where(own, tf.gather_nd(scores, places), 0.0))
        target = self.whole.target_logits(cosine, features, training)
        logits = self.whole.other_logits(scores, cosine)
        if not (self.spread.is_even or training and self.samples):
            logits, scores = self._without_padding(logits), self._without_padding(scores)
        logits = tf.tensor_scatter_nd_update(
            logits, places, tf.where(own, target, tf.gather_nd(logits, places)))
        hits = own & tf.equal(tf.argmax(scores, axis=1, output_type=tf.int32), targets)
        best = tf.reduce_max(scores, axis=1)
        share = self.whole.label_smoothing / (self.num_sampled if self.samples else self.num_classes)
        return _combine(logits, target, best, hits, share if training else 0.0)

    def _own_scores(self, features, labels, training):
        """Which of labels [G] are the replica's own, their columns (else any), and scores [G, C'] of its classes."""
        first, count = self.spread.own()
        local = tf.cast(labels, tf.int32) - first
        if training and self.samples:
            classes = tf.convert_to_tensor(self.sampled_classes.value)
            targets = tf.minimum(tf.searchsorted(classes, local), self._sampled_each - 1)
            return (tf.equal(tf.gather(classes, targets), local), targets,
                    self.whole.nearness(features, self.sampled_centers))
        return *_among(local, count), self.whole.nearness(features, self.centers)

    def _without_padding(self, columns):
        _, count = self.spread.own()
        return tf.where(tf.range(self.spread.per_replica) < count, columns, EXCLUDED)


def _among(local, count):
    """Which numbers [G] are from 0 to count − 1, and the numbers, with 0 for the others."""
    own = (local >= 0) & (local < count)
    return own, tf.where(own, local, 0)


def _combine(logits, target, best, hits, smoothing):
    """Cross-entropy and accuracy over all replicas' classes.

    Args:
        logits: [G, C'] of the replica's own classes, the targets' included.
        target: [G] logits of the targets, the same on all replicas.
        best: [G] largest score among the replica's own classes.
        hits: [G] whether it is the target's.
        smoothing: each class's share of a label.

    Returns:
        Two scalars.
    """
    top = tf.stop_gradient(tf.reduce_max(logits, axis=1))
    mass = tf.reduce_sum(tf.exp(logits - top[:, None]), axis=1)
    smooth = tf.zeros_like(mass)
    if smoothing:  # as in `Head.cross_entropy`, without the padding
        smooth = smoothing * tf.reduce_sum(tf.where(logits > EXCLUDED, target[:, None] - logits, 0.0), axis=1)
    rows = tf.stack([mass, top, smooth, tf.stop_gradient(best), tf.cast(hits, tf.float32)], axis=1)
    mass, top, smooth, best, hits = tf.unstack(tf.reshape(all_rows(rows), [-1, *rows.shape]), axis=2)  # [R, G] each
    highest = tf.reduce_max(top, axis=0)
    xent = highest + tf.math.log(tf.reduce_sum(mass * tf.exp(top - highest), axis=0)) - target
    xent += tf.reduce_sum(smooth, axis=0)
    winner = tf.one_hot(tf.argmax(best, axis=0), tf.shape(best)[0], axis=0)  # the first of equals, as in a whole head
    return tf.reduce_mean(xent), tf.reduce_mean(tf.reduce_sum(winner * hits, axis=0))


@tf.custom_gradient
def _sum(values):
    """Sum over the replicas."""
    return _all_reduced(values), _all_reduced


def _all_reduced(values):
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, placed(values))
