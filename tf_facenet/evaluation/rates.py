"""What pairs of different people can say of a false accept rate (FAR), the share of them that a threshold accepts.

n pairs show rates in steps of 1/n and none below, so a rate is claimed only of so many pairs. The 95 % interval of what
was counted is Wilson's score interval (E. B. Wilson, Journal of the American Statistical Association 22, 1927, pages
209 to 212). It takes the pairs to be independent; pairs that share people or images say less.
"""

import math
from dataclasses import dataclass

Z = 1.959964  # 95 % of a normal distribution lie within so many standard deviations
_ROUNDING = 1e-9  # 0.1 of 30 pairs are 3, whatever 0.1 * 30 is


@dataclass(frozen=True)
class FalseAccepts:
    """The pairs of different people that a threshold accepts.

    Attributes:
        accepted: how many.
        pairs: of how many, at least one.
    """

    accepted: int
    pairs: int

    @property
    def rate(self):
        """The share that was counted."""
        return self.accepted / self.pairs

    @property
    def interval(self):
        """The 95 % interval of the rate, a list of two."""
        squared = Z**2
        spread = Z * math.sqrt(self.accepted * (self.pairs - self.accepted) / self.pairs + squared / 4)
        ends = ((self.accepted + squared / 2 + sign * spread) / (self.pairs + squared) for sign in (-1, 1))
        return [min(max(end, 0.0), 1.0) for end in ends]

    def __str__(self):
        low, high = self.interval
        return (f"{self.accepted} of {self.pairs} pairs of different people, a rate of {self.rate:.3g} "
                f"(95 % interval {low:.2g} to {high:.2g})")


def allowed(pairs, far):
    """How many of so many pairs of different people a threshold may accept at a false accept rate."""
    return math.floor(far * pairs + _ROUNDING)


def can_show(pairs, far):
    """Whether so many pairs of different people can show a false accept rate: one of them alone is at most that."""
    return allowed(pairs, far) >= 1


def smallest_far(pairs):
    """The smallest false accept rate that so many pairs can show: 1/pairs, rounded up to three digits.

    >>> smallest_far(3000), smallest_far(16)
    (0.000334, 0.0625)
    """
    digits = 2 - math.floor(math.log10(1 / pairs))
    return round(math.ceil(10**digits / pairs - _ROUNDING) / 10**digits, digits)


def limit(pairs, far):
    """Why pairs of different people cannot show a rate, in words that begin a sentence."""
    return (f"{pairs} pairs of different people cannot show a false accept rate of {far:g}; "
            f"the smallest that they can is {smallest_far(pairs):g}")
