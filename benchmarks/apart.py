"""Whether the people that are trained on and those that are verified are others."""

from pathlib import Path

import numpy as np


def people_of(pairs):
    """Names [P, 2] of the people of pairs."""
    return np.array([Path(path).parent.name for path in pairs.images]).reshape(-1, 2)


def check_apart(training, pairs):
    """Raise ValueError if somebody is both trained on and verified."""
    both = set(training.names) & set(people_of(pairs).ravel())
    if both:
        raise ValueError(f"{', '.join(sorted(both))} are trained on and verified")
