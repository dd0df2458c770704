"""The head of today's face recognition: scaled cosines to class centres, with a margin."""

import math

import keras
from keras import ops

from tf_facenet.heads import angles
from tf_facenet.heads.head import Head
from tf_facenet.heads.margins import Margin
from tf_facenet.lookup import lookup

EXCLUDED = -1e30  # a logit that leaves the softmax; infinity would make 0 · ∞ of it somewhere


@keras.saving.register_keras_serializable(package="tf_facenet")
class CosineHead(Head):
    """Logits s · cos θ, the target's with a margin; softmax of them is the probability of a class.

    Centres start as N(0, 0.01²), as in insightface. Source of the parts: sub-centres, Deng et al.,
    ECCV 2020; class sampling (PartialFC), arXiv:2203.15565; filtering, insightface's arcface_torch.

    Args:
        num_classes: C.
        margin: a `Margin`; None = none.
        scale: s, or "auto" = √2 · ln(C − 1) (the fixed scale of AdaCos, arXiv:1905.00292).
        sub_centers: K centres for each class, of which the nearest counts.
        sample_rate: share of the classes in a training step; below 1, `draw` and
            `training.sampling` choose them, and C' is their number.
        interclass_filtering_threshold: wrong classes with a cosine above are taken for wrong labels;
            0 = off.
        interclass_filtering: what becomes of them: "zero", a logit of 0, as in insightface; or
            "exclude", no share in the softmax.
        seed: of the class sampling.

    Attributes:
        centers: variable [C·K, D]; rows c·K … c·K + K − 1 belong to class c.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, num_classes, margin=None, scale=64.0, *, sub_centers=1, sample_rate=1.0,
                 interclass_filtering_threshold=0.0, interclass_filtering="zero", seed=0,
                 **kwargs):
        super().__init__(num_classes, **{"name": "head", **kwargs})
        if isinstance(margin, dict):  # as Keras' config has it
            margin = keras.saving.deserialize_keras_object(margin)
        self.margin = margin or Margin()
        self.scale = math.sqrt(2) * math.log(max(num_classes - 1, 1)) if scale == "auto" else scale
        self.sub_centers, self.sample_rate, self.seed = sub_centers, sample_rate, seed
        self.interclass_filtering_threshold = interclass_filtering_threshold
        self.interclass_filtering = interclass_filtering
        self._check()

    def _check(self):
        lookup(_FILTERS, self.interclass_filtering, "interclass_filtering")
        if self.label_smoothing and self.interclass_filtering_threshold and self.interclass_filtering == "exclude":
            raise ValueError("label_smoothing gives every class a share, and interclass_filtering excludes some; choose"
                             " one, or interclass_filtering zero")
        if not 0 < self.scale <= 1000:
            raise ValueError(f"scale is {self.scale}; expected above 0 up to 1000, such as 64, or 32 "
                             "for a few thousand classes. 'auto' needs at least 3 classes")
        if self.sub_centers < 1:
            raise ValueError(f"sub_centers is {self.sub_centers}; expected at least 1")
        if not 0 < self.sample_rate <= 1:
            raise ValueError(f"sample_rate is {self.sample_rate}; expected above 0 up to 1")
        if not 0 <= self.interclass_filtering_threshold <= 1:
            raise ValueError(f"interclass_filtering_threshold is {self.interclass_filtering_threshold}"
                             "; expected 0 (off) to 1, such as 0.4")

    @property
    def samples(self):
        """Whether training steps see a sample of the classes."""
        return self.sample_rate < 1

    @property
    def num_sampled(self):
        """Number of classes in a training step."""
        return round(self.sample_rate * self.num_classes)

    def build(self, features_shape, labels_shape=None):
        width, normal = features_shape[-1], keras.initializers.RandomNormal(stddev=0.01)
        self.centers = self.add_weight(
            name="centers", shape=(self.num_classes * self.sub_centers, width), initializer=normal,
            trainable=not self.samples)
        if self.samples:
            # The rows that a step sees and trains; between steps they stand in `centers`.
            self.sampled_centers = self.add_weight(
                name="sampled_centers", shape=(self.num_sampled * self.sub_centers, width),
                initializer="zeros")
            self.sampled_classes = self.add_weight(
                name="sampled_classes", shape=(self.num_sampled,), initializer="zeros",
                dtype="int32", trainable=False, aggregation="only_first_replica")
            self.seed_generator = keras.random.SeedGenerator(self.seed)
            self.transient = frozenset(map(id, (self.sampled_centers, self.sampled_classes)))
        self.built = True

    def draw(self, labels):
        """Classes for one step: those of the labels [B] and others at random, sorted, [num_sampled]."""
        self.check_batch(labels.shape[0])
        order = keras.random.uniform((self.num_classes,), seed=self.seed_generator)
        first = ops.full((labels.shape[0],), 2.0)
        order = ops.scatter_update(order, ops.cast(labels, "int32")[:, None], first)
        _, classes = ops.top_k(order, self.num_sampled, sorted=False)
        return ops.sort(classes)

    def check_batch(self, batch_size):
        if batch_size > self.num_sampled and self.samples:
            raise ValueError(
                f"sample_rate {self.sample_rate} of {self.num_classes} classes is {self.num_sampled};"
                f" a batch of {batch_size} may hold more. Raise the rate or lower the batch size")

    def rows(self, classes):
        """Rows of `centers` that belong to classes [n]: [n·K]."""
        rows = ops.cast(classes, "int32")[:, None] * self.sub_centers + ops.arange(self.sub_centers)
        return ops.reshape(rows, (-1,))

    def fill(self, rows):
        """Give the centres the values rows [C·K, D]."""
        self.centers.assign(rows)

    def scores(self, features, labels, training=False):
        centers, targets = self.centers, ops.cast(labels, "int32")
        if training and self.samples:
            centers = self.sampled_centers
            targets = ops.searchsorted(self.sampled_classes, targets)
        return self.nearness(features, centers), targets

    def nearness(self, features, centers):
        """Cosine of each feature [B, D] to the nearest centre [C'·K, D] of each class: [B, C']."""
        cosines = angles.cosines(ops.cast(features, "float32"), centers)
        if self.sub_centers > 1:
            classes = cosines.shape[1] // self.sub_centers
            cosines = ops.max(ops.reshape(cosines, (-1, classes, self.sub_centers)), axis=-1)
        return cosines

    def logits(self, scores, targets, features, training=False):
        cosine = ops.take_along_axis(scores, targets[:, None], axis=1)[:, 0]
        target = self.target_logits(cosine, features, training)
        logits = self.other_logits(scores, cosine)
        places = ops.stack([ops.arange(ops.shape(targets)[0], dtype="int32"), targets], axis=1)
        return ops.scatter_update(logits, places, target)

    def target_logits(self, cosine, features, training=False):
        """Logits [B] of the targets, from their cosines [B] and the features [B, D]."""
        norm = angles.norms(ops.cast(features, "float32"))
        return self.scale * self.margin(cosine, norm, training=training)

    def other_logits(self, scores, cosine):
        """Logits [B, C'] of all scores as if none was the target's; cosine [B] is that of the targets."""
        logits = self.scale * self.margin.others(scores, cosine)
        if not self.interclass_filtering_threshold:
            return logits
        filtered = _FILTERS[self.interclass_filtering]
        return ops.where(scores > self.interclass_filtering_threshold, filtered, logits)

    def penalty(self, features):
        return self.margin.penalty(angles.norms(ops.cast(features, "float32")))

    def synchronize(self, num_replicas):
        self.margin.num_replicas = num_replicas

    def get_config(self):
        names = ("num_classes", "scale", "sub_centers", "sample_rate",
                 "interclass_filtering_threshold", "interclass_filtering", "seed", "label_smoothing")
        return {"name": self.name, **{name: getattr(self, name) for name in names},
                "margin": keras.saving.serialize_keras_object(self.margin)}


_FILTERS = {"zero": 0.0, "exclude": EXCLUDED}
