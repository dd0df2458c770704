"""Bounds of what an option may be."""

import math


def at_least(options, minimum, *names):
    """Raise ValueError if one of the named options is less than a minimum, or no number."""
    for name in names:
        value = getattr(options, name)
        if not minimum <= value < math.inf:
            raise ValueError(f"--{name} is {value}; expected at least {minimum}")


def between(options, low, high, *names):
    """Raise ValueError if one of the named options is out of a range."""
    for name in names:
        value = getattr(options, name)
        if not low <= value <= high:
            raise ValueError(f"--{name} is {value}; expected {low} to {high}")
