"""Margins: what training demands of a target's cosine beyond being the largest.

Letters as in the papers: θ is the angle of a feature to its class's centre, s the scale, m or m1, m2,
m3 the margins. A new margin is a class with `target`, a line in `heads.MARGINS` and a NumPy
reference in the tests.
"""

import math

import keras
from keras import ops

from tf_facenet.heads.angles import PAST_PI, angle
from tf_facenet.lookup import lookup

register = keras.saving.register_keras_serializable(package="tf_facenet")

GRADIENTS = ("exact", "straight_through")


class Margin(keras.layers.Layer):
    """How the cosines of a batch change before they are scaled.

    Args:
        easy_margin: leave targets with θ ≥ 90° as they are.
        gradient: "exact", or "straight_through": the target's value with the gradient of cos θ, as
            insightface's ArcFace has it.
        margin_warmup_steps: batches of training in which targets go evenly from cos θ to their new values.

    Call: cosine [B] of the targets, norm [B] of the features → the targets' new values [B].

    Attributes:
        num_replicas: over how many replicas statistics of a batch are taken.
    """

    num_replicas = 1

    def __init__(self, *, easy_margin=False, gradient="exact", margin_warmup_steps=0, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        require("margin_warmup_steps", margin_warmup_steps, 0, 1e9)
        if gradient not in GRADIENTS:
            raise ValueError(f"gradient is {gradient!r}; expected one of: {', '.join(GRADIENTS)}")
        self.easy_margin, self.gradient, self.margin_warmup_steps = easy_margin, gradient, margin_warmup_steps
        self.built = True
        if margin_warmup_steps:
            self.warmed = self.add_weight(name="warmed", shape=(), initializer="zeros", trainable=False,
                                          aggregation="only_first_replica")

    def call(self, cosine, norm, training=False):
        if training:
            self.update(cosine, norm)
        target = self.target(cosine, norm=norm)
        if self.margin_warmup_steps:
            target = cosine + self._warmth(training) * (target - cosine)
        if self.easy_margin:
            target = ops.where(cosine > 0, target, cosine)
        if self.gradient == "straight_through":
            target = cosine + ops.stop_gradient(target - cosine)
        return target

    def _warmth(self, training):
        """Share of the margin that counts; the first batch of training has none of it."""
        share = ops.minimum(self.warmed / self.margin_warmup_steps, 1.0)
        if training:
            self.warmed.assign(self.warmed + 1.0)
        return share

    def update(self, cosine, norm):
        """Follow the training, for margins with a state; called before `target`."""

    def target(self, cosine, **_):
        """New values [B] of the targets' cosines [B]."""
        return cosine

    def others(self, cosines, cosine):
        """New values of all cosines [B, C], of which the targets' do not matter."""
        return cosines

    def penalty(self, norm):
        """A term of the loss from the features' norms [B]."""
        return ops.zeros(())


def require(name, value, low, high):
    """Raise ValueError unless low <= value <= high."""
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; expected {low:g} to {high:g}")


@register
class CosFace(Margin):
    """Additive cosine margin: cos θ − m (CosFace, arXiv:1801.09414, eq. 4).

    Args:
        margin: m, 0 to 1.
    """

    def __init__(self, margin=0.35, **options):
        super().__init__(**options)
        require("margin", margin, 0, 1)
        self.margin = margin

    def target(self, cosine, **_):
        return cosine - self.margin


class AngularMargin(Margin):
    """A margin on the angle: the cosine of an angle a that is larger than θ.

    Args:
        past_pi: the form where a > π, an entry of `angles.PAST_PI`. By default "extend", which is
            continuous and falls; with a straight-through gradient "plain", as in insightface.
    """

    def __init__(self, past_pi=None, **options):
        super().__init__(**options)
        self.past_pi = past_pi or ("plain" if self.gradient == "straight_through" else "extend")
        lookup(PAST_PI, self.past_pi, "past_pi")

    def widened(self, cosine, m1=1.0, m2=0.0):
        """Cosine of a = m1 θ + m2, continued past π."""
        return PAST_PI[self.past_pi](m1 * angle(cosine) + m2, cosine, m2)


@register
class ArcFace(AngularMargin):
    """Additive angular margin: cos(θ + m) (ArcFace, arXiv:1801.07698, eq. 3).

    Args:
        margin: m in radians, 0 to π/2.
    """

    def __init__(self, margin=0.5, **options):
        super().__init__(**options)
        require("margin", margin, 0, math.pi / 2)
        self.margin = margin

    def target(self, cosine, **_):
        return self.widened(cosine, m2=self.margin)


@register
class SphereFace(AngularMargin):
    """Multiplicative angular margin: ψ = (−1)^k cos(m θ) − 2k (SphereFace, arXiv:1704.08063).

    Features are normalised and scaled like those of all heads here; in the paper they keep their
    norms.

    Args:
        margin: m, 1 to 10, integer or not.
        annealing: learn with (λ cos θ + ψ) / (1 + λ), λ = max(5, 1500 / (1 + 0.1 t)) for the t-th
            batch, as the authors do; their m = 4 does not start to learn without.
    """

    def __init__(self, margin=1.35, annealing=False, **options):
        super().__init__(**options)
        require("margin", margin, 1, 10)
        self.margin, self.annealing = margin, annealing
        if annealing:
            self.batches = self.add_weight(name="batches", shape=(), initializer="zeros",
                                           trainable=False, aggregation="only_first_replica")

    def update(self, cosine, norm):
        if self.annealing:
            self.batches.assign(self.batches + 1.0)

    def target(self, cosine, **_):
        psi = self.widened(cosine, m1=self.margin)
        if not self.annealing:
            return psi
        strength = ops.maximum(5.0, 1500.0 / (1.0 + 0.1 * self.batches))
        return (strength * cosine + psi) / (1.0 + strength)


@register
class Combined(AngularMargin):
    """All three margins: cos(m1 θ + m2) − m3 (ArcFace, arXiv:1801.07698, eq. 4).

    Args:
        m1: factor of the angle.
        m2: added to the angle, radians.
        m3: subtracted from the cosine.

    Raises:
        ValueError: the target would be above cos θ for some angle: no margin but a bonus.
    """

    def __init__(self, m1=1.0, m2=0.5, m3=0.0, **options):
        super().__init__(**options)
        require("m1", m1, 0.5, 10)
        require("m2", m2, -math.pi / 2, math.pi / 2)
        require("m3", m3, -1, 1)
        self.m1, self.m2, self.m3 = m1, m2, m3
        self._check_falls()

    def target(self, cosine, **_):
        return self.widened(cosine, self.m1, self.m2) - self.m3

    def _check_falls(self):
        for degrees in range(181):
            theta = math.radians(degrees)
            a = self.m1 * theta + self.m2
            k = math.floor(a / math.pi)
            if (-1) ** k * math.cos(a) - 2 * k - self.m3 > math.cos(theta) + 1e-6:
                raise ValueError(
                    f"m1 = {self.m1}, m2 = {self.m2}, m3 = {self.m3} make the target larger than "
                    f"cos θ at θ = {degrees}°; expected margins that lower it, such as 1, 0.5, 0 or "
                    "1, 0.3, 0.2")
