"""Coloured shapes, the material of drawn faces.

Points are complex numbers x + iy (unit: half a head's height, y down, origin in the middle of the
head): turning is a product and mirroring a conjugate. A shape's `lift` is its height above the
head's surface; what is lifted moves more when the head turns.
"""

from typing import NamedTuple

import numpy as np

WHITE, DARK = (246, 244, 240), (30, 22, 24)

SPAN = np.linspace(-1.0, 1.0, 13)  # along a feature, from left to right
BOW = 1.0 - SPAN**2  # 0 at its ends, 1 in its middle


def directions(start, stop, count):
    """Unit numbers [count] from angle `start` to `stop`, in half circles."""
    return np.exp(1j * np.pi * np.linspace(start, stop, count))


CIRCLES = {count: directions(0, 2, count + 1)[:-1] for count in (8, 12, 20, 40)}


class Shape(NamedTuple):
    """Complex `points` [k]: a filled polygon or, with a `width`, a line."""

    points: np.ndarray
    color: tuple
    width: float = 0.0
    lift: float | np.ndarray = 0.0


def oval(center, width, height, count=12):
    """Ellipse [count] with half axes `width` and `height`."""
    circle = CIRCLES[count]
    return center + width * circle.real + 1j * height * circle.imag


def band(upper, lower):
    """Closed outline between two lines that both run from left to right."""
    return np.concatenate([upper, lower[::-1]])


def mirrored(shapes):
    """The shapes in a mirror: what is right of the nose goes to the left."""
    return [shape._replace(points=-shape.points.conjugate()) for shape in shapes]


def both_sides(*shapes):
    """Shapes of the right half of the face, and of the left."""
    return [*shapes, *mirrored(shapes)]


def mix(color, other, share):
    """`color` with a `share` (0..1) of `other`."""
    return tuple(a + (b - a) * share for a, b in zip(color, other, strict=True))


def ramp(colors, position):
    """The colour at `position` (0..1, else the nearer end) of a list of colours."""
    index, share = divmod(min(max(position, 0.0), 0.999) * (len(colors) - 1), 1.0)
    return mix(colors[int(index)], colors[int(index) + 1], share)
