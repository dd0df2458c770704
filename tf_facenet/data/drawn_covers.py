"""What hides a part of a drawn face: glasses, a hat, a scarf, something before the camera."""

import numpy as np

from tf_facenet.data.drawn_outline import head_outline
from tf_facenet.data.drawn_shapes import BOW, CIRCLES, DARK, SPAN, Shape, band, both_sides, directions, oval, ramp

FRAMES = [DARK, (120, 70, 40), (170, 40, 50), (200, 200, 205)]
LENS = (36, 34, 40)
DOME = directions(-0.96, -0.04, 25)


def glasses(person, shot):
    """Frames, round or square; dark in some pictures."""
    if not shot.has_glasses:
        return []
    color, square, circle = ramp(FRAMES, shot.glasses_color), shot.glasses_shape, CIRCLES[20]
    x = np.abs(circle.real) ** square * np.sign(circle.real)
    y = np.abs(circle.imag) ** square * np.sign(circle.imag)
    level = 1j * person.eye_y
    half = 0.245 * min(person.eye_distance / 0.3, 1.0)
    lens = person.eye_distance * 1.02 + level + 0.02j + half * x + 0.19j * y
    left, right = lens.real.min(), lens.real.max()
    temple = np.array([right + level, 0.98 * person.head_width + level - 0.02j])
    bridge = np.array([level - left, level + left])
    shapes = [*both_sides(Shape(np.append(lens, lens[0]), color, 0.035, 0.15),
                          Shape(temple, color, 0.035, 0.05)),
              Shape(bridge, color, 0.035, 0.2)]
    return [*both_sides(Shape(lens, LENS, lift=0.15)), *shapes] if shot.dark_glasses else shapes


def covers(person, shot, color, second):
    """A hat, a scarf and something before the camera, each in some pictures."""
    shapes, brow = [], 1.1 * person.head_width * SPAN
    if shot.has_hat:
        rim = 0.05 - shot.hat_height
        dome = head_outline(person, DOME) * (1.12 + 0.5 * person.hair_volume)
        dome = dome.real * 1.02 + 1j * np.minimum(dome.imag, rim)
        shapes += [Shape(dome, color, lift=0.08),
                   Shape(brow + 1j * (rim - 0.05 * BOW), second, 0.13, 0.12)]
    if shot.has_scarf:
        top = brow + 1j * (shot.scarf_y + 0.06 * BOW)
        shapes += [Shape(band(top, top + 0.9j), second, lift=0.15), Shape(top, color, 0.06, 0.16)]
    if shot.has_patch:
        center = 0.75 * np.exp(1j * shot.patch_angle)
        shapes.append(Shape(oval(center, shot.patch_size, 0.7 * shot.patch_size), color, lift=0.3))
    return shapes
