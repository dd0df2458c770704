"""Optimizers with facenet's parameters, and averaged weights."""

import keras
from keras import ops

from tf_facenet.lookup import lookup
from tf_facenet.training import spread

PARAMETERS = {
    "ADAGRAD": (keras.optimizers.Adagrad, {"initial_accumulator_value": 0.1, "epsilon": 1e-10}),
    "ADADELTA": (keras.optimizers.Adadelta, {"rho": 0.9, "epsilon": 1e-6}),
    "ADAM": (keras.optimizers.Adam, {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 0.1}),
    "RMSPROP": (keras.optimizers.RMSprop, {"rho": 0.9, "momentum": 0.9, "epsilon": 1.0}),
    "MOM": (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
}


def create(options, learning_rate):
    """Build the optimizer that the options name.

    Args:
        options: `options.OptimizerOptions`.
        learning_rate: number or Keras schedule.

    Returns:
        A Keras optimizer.
    """
    table = {**PARAMETERS, **TF1_PARAMETERS} if options.tf1_optimizers else PARAMETERS
    optimizer, parameters = lookup(table, options.optimizer, "optimizer")
    return optimizer(learning_rate=learning_rate, global_clipnorm=options.clip_norm or None,
                     name="optimizer", **parameters)


class TF1RMSprop(keras.optimizers.RMSprop):
    """RMSprop as TensorFlow 1 computes it.

    a ← ρa + (1 − ρ)g², with a = 1 at the start (Keras: 0); v ← μv + lr·g/√(a + ε); w ← w − v.
    """

    def build(self, variables):
        """Create the slots; squared gradients start at one."""
        if self.built:
            return
        super().build(variables)
        for accumulator in self._velocities:
            for part in spread.components(accumulator):
                part.assign(ops.ones(part.shape, part.dtype))


class TF1Momentum(keras.optimizers.SGD):
    """Nesterov momentum as TensorFlow 1 computes it.

    v ← μv + g; w ← w − lr(g + μv). Keras' velocity contains the rate, so that it differs after
    the rate has changed.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable."""
        learning_rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        self.assign(velocity, self.momentum * velocity + gradient)
        self.assign_sub(variable, learning_rate * (gradient + self.momentum * velocity))


TF1_PARAMETERS = {
    "RMSPROP": (TF1RMSprop, PARAMETERS["RMSPROP"][1]),
    "MOM": (TF1Momentum, PARAMETERS["MOM"][1]),
}


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
