"""Averaged weights."""

from keras import ops

from tf_facenet.training import spread


class WeightAverage:
    """Exponential moving average of weights: a ← d·a + (1 − d)·w, d = min(decay, (1+t)/(10+t)).

    The growing decay (TensorFlow 1's ``num_updates``, which facenet uses) makes the average useful
    from the first epochs on; Keras' own constant 0.9999 would hold mostly the initial weights for
    10,000 steps.

    Args:
        variables: trainable Keras variables.
        decay: the largest decay.
    """

    def __init__(self, variables, decay):
        self.variables = list(variables)
        self.decay = decay
        self.averages = [spread.copy(variable, "average") for variable in self.variables]

    def update(self, step):
        """Follow the weights, just before they take optimizer step `step` (the first is 0).

        In facenet nothing ordered the two; its recorded averages are those of the weights before.
        """
        step = ops.cast(step, "float32")
        decay = ops.minimum(self.decay, (1.0 + step) / (10.0 + step))
        for average, variable in zip(self.averages, self.variables, strict=True):
            average.assign(decay * average + (1.0 - decay) * variable)

    def swap(self):
        """Exchange weights and averages; a second call restores both."""
        for average, variable in zip(self.averages, self.variables, strict=True):
            for mine, theirs in zip(spread.components(average), spread.components(variable), strict=True):
                weights = theirs.numpy()
                theirs.assign(mine)
                mine.assign(weights)
