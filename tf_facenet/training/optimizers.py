"""Optimizers with facenet's parameters."""

import keras
from keras import ops

from tf_facenet.lookup import lookup

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

    def add_optimizer_variables(self, trainable_variables, name, initializer="zeros"):
        """Create slots; squared gradients, Keras' "velocity", start at one."""
        return super().add_optimizer_variables(trainable_variables, name, "ones" if name == "velocity" else initializer)


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
