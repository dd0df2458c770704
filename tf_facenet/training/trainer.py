"""Backbone and head as one Keras model, with the terms of the training loss."""

import logging

import keras
from keras import ops

from tf_facenet.losses import kernel_decay, prelogits_norm
from tf_facenet.training import watch

logger = logging.getLogger(__name__)


class FaceTrainer(keras.Model):
    """A backbone that is trained through a head.

    Called on images [B, H, W, 3] it gives the backbone's features [B, D], so that prediction and
    export see the plain network. `terms` adds what training needs.

    Args:
        backbone: images → features.
        head: a built `heads.head.Head`.
        center_loss: a `losses.CenterLoss`, or None.
        center_loss_factor: its factor.
        weight_decay: w of w/2 · Σ kernels².
        prelogits_norm_loss_factor: factor of `losses.prelogits_norm`.
        prelogits_norm_p: its order.
    """

    def __init__(self, backbone, head, center_loss=None, *, center_loss_factor=0.0,
                 weight_decay=0.0, prelogits_norm_loss_factor=0.0, prelogits_norm_p=1.0):
        super().__init__(name="trainer")
        self.images_per_person = 0  # of a batch; 0 = as they come
        self.backbone = backbone
        self.head = head
        self.center_loss = center_loss
        self.center_loss_factor = center_loss_factor
        self.weight_decay = weight_decay
        self.prelogits_norm_loss_factor = prelogits_norm_loss_factor
        self.prelogits_norm_p = prelogits_norm_p
        self.built = True

    def call(self, images, training=False):
        """Features [B, D] of images [B, H, W, 3]."""
        return self.backbone(images, training=training)

    def terms(self, features, labels, training=False):
        """The loss and its parts.

        Args:
            features: [B, D].
            labels: [B] integers.
            training: whether centres follow the features.

        Returns:
            dict of scalars: ``loss`` = ``xent`` + ``reg_loss``; ``reg_loss`` = the head's penalty,
            weight decay, center loss and prelogits norm with their factors; ``center_loss`` and
            ``prelogits_norm`` without; ``accuracy`` of the scores, which know no margin.
        """
        features = ops.cast(features, "float32")
        xent, accuracy = self.head.cross_entropy(features, labels, training)
        norm = prelogits_norm(features, self.prelogits_norm_p)
        center = (self.center_loss(features, labels, training=training) if self.center_loss
                  else ops.zeros(()))
        reg_loss = (self.head.penalty(features) + self.center_loss_factor * center
                    + self.prelogits_norm_loss_factor * norm + self.decay())
        return {"loss": xent + reg_loss, "xent": xent, "reg_loss": reg_loss, "accuracy": accuracy,
                "center_loss": center, "prelogits_norm": norm}

    def decay(self):
        """The weight decay's share of the loss."""
        if not self.weight_decay:
            return 0.0
        return self.weight_decay * (kernel_decay(self.backbone.trainable_variables)
                                    + self.head.summed(kernel_decay))

    def line(self, terms):
        """What a log line says of a step: its terms in facenet's words."""
        return (f"Loss {terms['loss']:2.3f}\tXent {terms['xent']:2.3f}\tRegLoss {terms['reg_loss']:2.3f}\t"
                f"Accuracy {terms['accuracy']:2.3f}\tLr {terms['learning_rate']:2.5f}\tCl {terms['center_loss']:2.3f}")

    def watch(self, patience, step):
        """What looks whether the run learns; says first what an untrained network has."""
        expected = watch.expected_loss(self.head, self.backbone.output_shape[-1])
        logger.info("Cross-entropy of an untrained network: %.2f", expected)
        return watch.LossWatch(expected, patience, step)

    @property
    def averaged_variables(self):
        """Trainable variables whose average means something: not rows that change their class."""
        return [variable for variable in self.trainable_variables if id(variable) not in self.head.transient]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Loss of a batch for Keras' own ``fit``, which neither samples classes nor spreads them.

        Raises:
            ValueError: the head samples classes, or they are spread over the devices.
        """
        if self.head.spread:
            raise ValueError(f"the classes are spread over {self.head.spread.num_replicas} devices, which Keras' fit "
                             "does not know; train with tf_facenet.training.fit, or without shard_classes")
        if self.head.samples:
            raise ValueError(f"sample_rate is {self.head.sample_rate}, and Keras' fit draws no classes;"
                             " train with tf_facenet.training.fit, or give the head a rate of 1")
        return self.terms(y_pred, y, training=training)["loss"]
