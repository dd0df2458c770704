"""What all heads have in common."""

import keras
from keras import ops


class Head(keras.layers.Layer):
    """From features and labels to the logits of a cross-entropy, float32 under any dtype policy.

    A head answers in two steps, so that training can look at what lies between them: `scores` are
    how near the features are to each class, `logits` what the loss gets. They differ where a margin
    makes the target harder; accuracy is a matter of the scores.

    Call: features [B, D], labels [B] → logits [B, C'], targets [B], the columns of the labels.
    """

    samples = False  # whether a training step sees only a sample of the classes

    def __init__(self, num_classes, name, **kwargs):
        super().__init__(**{**kwargs, "name": name, "dtype": "float32"})
        self.num_classes = num_classes

    def call(self, features, labels, training=False):
        scores, targets = self.scores(features, labels, training)
        return self.logits(scores, targets, features, training), targets

    def scores(self, features, labels, training=False):
        """Nearness of each feature to each class [B, C'], and the targets [B]."""
        raise TypeError(f"{type(self).__name__} does not say what its scores are.")

    def logits(self, scores, targets, features, training=False):
        """Logits [B, C'] of the scores."""
        return scores

    def penalty(self, features):
        """A term of the loss beside the cross-entropy, a scalar."""
        return ops.zeros(())

    def check_batch(self, batch_size):
        """Raise ValueError if a batch of that size is too large for the head."""

    def synchronize(self, num_replicas):
        """Take statistics of a batch over that many replicas."""
