"""Half precision: the dtype policies, and the scale of the loss that float16 needs."""

import keras
import tensorflow as tf

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


class LossScale:
    """A factor that keeps small gradients from vanishing in float16 (Micikevicius et al., arXiv:1710.03740).

    A step whose gradients overflow on any replica is left out on all of them and halves the factor; it doubles after
    `patience` steps without. The same rule as Keras' LossScaleOptimizer, which asks the first replica only.

    Args:
        initial: the first factor.
        patience: steps until it doubles.
    """

    LEAST = 2.0**-10  # of a loss that no factor helps any more

    def __init__(self, initial=2.0**15, patience=2000):
        self.patience = patience
        self.factor = self._variable("loss_scale", initial, "float32")
        self.good_steps = self._variable("good_steps", 0, "int32")

    @staticmethod
    def _variable(name, value, dtype):
        return keras.Variable(keras.initializers.Constant(value), shape=(), dtype=dtype, trainable=False, name=name,
                              aggregation="only_first_replica")

    @property
    def variables(self):
        """What a checkpoint holds."""
        return [self.factor, self.good_steps]

    def apply(self, finite, step):
        """Call `step` if the gradients are finite, and follow them.

        Args:
            finite: boolean scalar, the same for all workers.
            step: function without arguments that applies them.
        """
        tf.cond(finite, lambda: self._good(step), self._bad)

    def _good(self, step):
        step()
        grows = tf.equal(self.good_steps.value, self.patience - 1)
        self.factor.value.assign(tf.where(grows, 2.0, 1.0) * self.factor.value)
        self.good_steps.value.assign(tf.where(grows, 0, self.good_steps.value + 1))
        return True

    def _bad(self):
        self.factor.value.assign(self.factor.value / 2)
        self.good_steps.value.assign(0)
        return False


def all_finite(gradients):
    """Float scalar: 1 if all numbers of the gradients are finite, else 0."""
    return tf.cast(tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients]), tf.float32)
