"""Margins that depend on the quality of an image or on how far training has come."""

import math

import keras
from keras import ops

from tf_facenet.heads.angles import PAST_PI, angle
from tf_facenet.heads.margins import AngularMargin, register, require


class RunningMargin(AngularMargin):
    """A margin with statistics that follow those of the batches: r ← (1 − t_alpha) r + t_alpha x."""

    def __init__(self, t_alpha=0.01, **options):
        super().__init__(**options)
        require("t_alpha", t_alpha, 0, 1)
        self.t_alpha = t_alpha

    def running(self, name, value):
        """A running statistic that starts at `value`; all replicas assign it the same."""
        return self.add_weight(name=name, shape=(), initializer=keras.initializers.Constant(value),
                               trainable=False, aggregation="only_first_replica")

    def follow(self, statistic, value):
        """Move a running statistic towards the value of this batch."""
        statistic.assign((1.0 - self.t_alpha) * statistic + self.t_alpha * value)

    def moments(self, values):
        """Mean and variance of values [B] over the batches of all replicas."""
        return ops.moments(ops.stop_gradient(values), axes=[0], synchronized=self.num_replicas > 1)


@register
class AdaFace(RunningMargin):
    """Margin by image quality, for which the norm stands (AdaFace, arXiv:2204.00964).

    With ẑ = clip(h (‖f‖ − μ) / (σ + ε), −1, 1): cos(θ − m ẑ) − (m + m ẑ). Clear images, of large
    norm, get an additive cosine margin; blurred ones an angular one. μ and σ follow the norms.
    As in the authors' code norms are clipped to 0.001 … 100, cosines to ±(1 − ε) and angles from
    below to ε = 1e-3; the gradient passes through the clipped cosines here.

    Args:
        margin: m, 0 to 1.
        h: how much of the norms' spread counts.
        t_alpha: rate at which μ (from 20) and σ (from 100) follow.
    """

    EPSILON = 1e-3

    def __init__(self, margin=0.4, h=0.333, t_alpha=0.01, **options):
        super().__init__(t_alpha, **options)
        require("margin", margin, 0, 1)
        require("h", h, 0, 10)
        self.margin, self.h = margin, h
        self.mean, self.std = self.running("mean", 20.0), self.running("std", 100.0)

    def update(self, cosine, norm):
        mean, variance = self.moments(ops.clip(norm, 1e-3, 100.0))
        count = ops.cast(ops.shape(norm)[0] * self.num_replicas, "float32")
        self.follow(self.mean, mean)
        self.follow(self.std, ops.sqrt(variance * count / ops.maximum(count - 1.0, 1.0)))

    def target(self, cosine, norm, **_):
        norm = ops.stop_gradient(ops.clip(norm, 1e-3, 100.0))
        quality = ops.clip((norm - self.mean) / (self.std + self.EPSILON) * self.h, -1.0, 1.0)
        cosine = self._clipped(cosine)
        a = ops.maximum(angle(cosine) - self.margin * quality, self.EPSILON)
        return PAST_PI[self.past_pi](a, cosine, self.margin) - self.margin * (1.0 + quality)

    def others(self, cosines, cosine):
        return self._clipped(cosines)

    def _clipped(self, cosines):
        bound = 1.0 - self.EPSILON
        return cosines + ops.stop_gradient(ops.clip(cosines, -bound, bound) - cosines)


@register
class CurricularFace(RunningMargin):
    """Hard negatives count more as training goes on (CurricularFace, arXiv:2004.00288).

    The target is cos(θ + m); a wrong class with cos θ_j > cos(θ + m) becomes cos θ_j (t + cos θ_j).
    t, from 0, follows the mean cosine of the targets.

    Args:
        margin: m in radians, 0 to π/2.
        t_alpha: rate at which t follows.
    """

    def __init__(self, margin=0.5, t_alpha=0.01, **options):
        super().__init__(t_alpha, **options)
        require("margin", margin, 0, math.pi / 2)
        self.margin = margin
        self.t = self.running("t", 0.0)

    def update(self, cosine, norm):
        self.follow(self.t, self.moments(cosine)[0])

    def target(self, cosine, **_):
        return self.widened(cosine, m2=self.margin)

    def others(self, cosines, cosine):
        threshold = ops.stop_gradient(ops.cos(angle(cosine) + self.margin))
        return ops.where(cosines > threshold[:, None], cosines * (self.t + cosines), cosines)


@register
class MagFace(AngularMargin):
    """Margin that grows with the norm a (MagFace, arXiv:2103.06627).

    cos(θ + m(a)) with m(a) linear from l_margin at a = l_a to u_margin at u_a, a clipped to that
    range; `penalty` = λ_g · mean(a / u_a² + 1 / a) draws norms up. It needs
    λ_g ≥ s k u_a² l_a² / (u_a² − l_a²), k the slope of m(a): 22.6 with the defaults and s = 64.

    Args:
        l_a, u_a: smallest and largest norm.
        l_margin, u_margin: margins there, radians.
        lambda_g: λ_g.
    """

    def __init__(self, l_a=10.0, u_a=110.0, l_margin=0.45, u_margin=0.8, lambda_g=35.0, **options):
        super().__init__(**options)
        require("l_a", l_a, 1e-3, u_a - 1e-3)
        require("l_margin", l_margin, 0, u_margin)
        require("u_margin", u_margin, l_margin, math.pi / 2)
        require("lambda_g", lambda_g, 0, 1e6)
        self.l_a, self.u_a, self.l_margin, self.u_margin = l_a, u_a, l_margin, u_margin
        self.lambda_g = lambda_g

    def target(self, cosine, norm, **_):
        share = (ops.clip(norm, self.l_a, self.u_a) - self.l_a) / (self.u_a - self.l_a)
        return self.widened(cosine, m2=self.l_margin + share * (self.u_margin - self.l_margin))

    def penalty(self, norm):
        a = ops.clip(norm, self.l_a, self.u_a)
        return self.lambda_g * ops.mean(a / self.u_a**2 + 1.0 / a)

