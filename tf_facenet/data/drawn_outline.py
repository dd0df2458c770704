"""The outline of a drawn head, which hair, beard and hats follow too."""

import numpy as np


def head_outline(person, circle):
    """Points of the outline in the directions `circle` (unit numbers): crown, jaw and chin."""
    x, y = circle.real, circle.imag
    down = np.maximum(y, 0.0)
    jaw = person.jaw_width * np.sign(x) * np.abs(x) ** person.jaw_square
    chin = np.sign(x) * np.minimum(4.0 * np.abs(x), 1.0) * np.maximum(down - 0.75, 0.0)
    wide = x + (jaw - x) * np.minimum(1.6 * down, 1.0) + person.chin_width * chin
    below = person.head_height * (y + person.chin_drop * down**4)
    return person.head_width * wide + 1j * np.where(y > 0, below, person.crown * y)


def mouth_height(person):
    """How far down the line between the lips is."""
    return person.eye_y + person.nose_length + person.mouth_y
