"""What all heads have in common."""

import keras
from keras import ops


class Head(keras.layers.Layer):
    """From features and labels to the logits of a cross-entropy, float32 under any dtype policy.

    A head answers in two steps, so that training can look at what lies between them: `scores` are
    how near the features are to each class, `logits` what the loss gets. They differ where a margin
    makes the target harder; accuracy is a matter of the scores.

    Args:
        num_classes: number of classes C.
        name: of the layer.
        label_smoothing: ε: in training a label counts for 1 − ε, and ε is shared by all classes (arXiv:1512.00567).

    Call: features [B, D], labels [B] → logits [B, C'], targets [B], the columns of the labels.
    """

    samples = False  # whether a training step sees only a sample of the classes
    spread = None  # how the classes are dealt to the replicas; None = each replica has all of them
    transient = frozenset()  # ids of variables that every training step writes before it reads them

    def __init__(self, num_classes, name, *, label_smoothing=0.0, **kwargs):
        super().__init__(**{**kwargs, "name": name, "dtype": "float32"})
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}; expected 0 (off) to less than 1, such as 0.1")
        self.num_classes, self.label_smoothing = num_classes, label_smoothing

    def call(self, features, labels, training=False):
        scores, targets = self.scores(features, labels, training)
        return self.logits(scores, targets, features, training), targets

    def scores(self, features, labels, training=False):
        """Nearness of each feature to each class [B, C'], and the targets [B]."""
        raise TypeError(f"{type(self).__name__} does not say what its scores are.")

    def logits(self, scores, targets, features, training=False):
        """Logits [B, C'] of the scores."""
        return scores

    def cross_entropy(self, features, labels, training=False):
        """Mean cross-entropy of the logits, and accuracy of the scores, which know no margin."""
        scores, targets = self.scores(features, labels, training)
        logits = self.logits(scores, targets, features, training)
        xent = ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))
        if training and self.label_smoothing:
            # −log p_j is log Σ exp z − z_j: the sum has its share in all classes' terms alike.
            own = ops.take_along_axis(logits, ops.cast(targets, "int32")[:, None], axis=1)[:, 0]
            xent = xent + self.label_smoothing * ops.mean(own - ops.mean(logits, axis=1))
        hits = ops.equal(ops.argmax(scores, axis=-1), ops.cast(targets, "int32"))
        return xent, ops.mean(ops.cast(hits, "float32"))

    def summed(self, function):
        """A function of the weights that training changes, such as their decay, summed over all shards."""
        return function(self.trainable_variables)

    def lasting(self, variables):
        """Those of its variables, or of an optimizer's for them, that a checkpoint holds, in class order."""
        return [variable for variable in variables if id(variable) not in self.transient]

    def penalty(self, features):
        """A term of the loss beside the cross-entropy, a scalar."""
        return ops.zeros(())

    def check_batch(self, batch_size):
        """Raise ValueError if a batch of that size is too large for the head."""

    def synchronize(self, num_replicas):
        """Take statistics of a batch over that many replicas."""
