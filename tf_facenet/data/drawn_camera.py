"""Takes the picture of a drawn face: pose, background, paint, light, lens and noise.

So that all machines agree on every pixel, points are rounded to 1/16 of a pixel (the last bit of
a sine cannot move one), and what follows is integer arithmetic, tables of rounded values, or an
OpenCV operation that is exact on 8 bits.
"""

import cv2
import numpy as np

from tf_facenet.data import drawn_traits
from tf_facenet.data.drawn_features import face

SHIFT = 4  # binary places of a point's coordinates in pixels
DEPTH = 0.62  # from the outline to the front of the face, in half heads
PERSPECTIVE = 0.12
GRAY = np.array([77, 150, 29], np.uint16)  # ITU-R BT.601 luma in 256ths


def picture(seed, identity, variant, size):
    """Picture `variant` of a person: uint8 RGB [size, size, 3]."""
    key = (seed, identity, variant)
    person = drawn_traits.person_traits(seed, identity)
    shot = drawn_traits.picture_traits(*key)
    places = drawn_traits.uniforms("marks", 40, seed, identity)
    colors = 255 * drawn_traits.uniforms("colors", 9, *key).reshape(3, 3)
    shapes = face(person, shot, places, [tuple(color) for color in colors.tolist()])
    image = background(drawn_traits.uniforms("background", 140, *key), shot, size)
    paint(image, shapes, project(shapes, person, shot, size), shot)
    noise = drawn_traits.raw_words("noise", (image.size + 7) // 8, *key)
    return develop(image, shot, noise.astype("<u8").view(np.int8)[: image.size])


def project(shapes, person, shot, size):
    """All points of the shapes after the head's turn: int32 [sum of k, 2] in 1/16 pixel."""
    points = np.concatenate([shape.points for shape in shapes])
    lift = np.concatenate([np.broadcast_to(shape.lift, len(shape.points)) for shape in shapes])
    x, y = points.real, points.imag
    inside = 1.0 - (x / person.head_width) ** 2 - (y / person.head_height) ** 2
    z = DEPTH * np.sqrt(np.maximum(inside, 0.0)) + lift
    x, z = _turn(x, z, shot.yaw)
    z, y = _turn(z, y, shot.pitch)
    seen = (x + 1j * y) * (1.0 + PERSPECTIVE * (z - DEPTH / 2)) * np.exp(1j * shot.roll)
    seen = seen * shot.scale + complex(shot.shift_x + 0.5, shot.shift_y + 0.5)
    pixels = np.stack([seen.real, seen.imag], axis=1) * size - 0.5
    return np.rint(pixels * 2**SHIFT).astype(np.int32)


def _turn(a, b, angle):
    return a * np.cos(angle) + b * np.sin(angle), b * np.cos(angle) - a * np.sin(angle)


def paint(image, shapes, points, shot):
    """Paints the shapes into `image`, one over the other, at their projected `points`."""
    start, unit = 0, shot.scale * len(image)
    for shape in shapes:
        part = points[start : start + len(shape.points)]
        start += len(shape.points)
        if shape.width:
            width = max(1, round(shape.width * unit))
            cv2.polylines(image, [part], False, shape.color, width, cv2.LINE_AA, SHIFT)
        else:
            cv2.fillPoly(image, [part], shape.color, cv2.LINE_AA, SHIFT)


def background(values, shot, size):
    """Patches of colour, soft or hard, with triangles on them; `values` are uniforms [140]."""
    cells = 2 + int(4 * shot.clutter)
    patches = (10 + 245 * values[: cells * cells * 3]).astype(np.uint8).reshape(cells, cells, 3)
    how = cv2.INTER_LINEAR_EXACT if values[110] < 0.6 else cv2.INTER_NEAREST
    image = cv2.resize(patches, (size, size), interpolation=how)
    corners = np.rint(values[111:135].reshape(4, 3, 2) * size * 2**SHIFT).astype(np.int32)
    count = int(5 * values[135])
    for corner, tone in zip(corners[:count], values[136 : 136 + count].tolist(), strict=True):
        color = (80 + 120 * tone, 190 - 100 * tone, 100 + 90 * tone * tone)
        cv2.fillPoly(image, [corner], color, cv2.LINE_AA, SHIFT)
    return image


def develop(image, shot, noise):
    """Light from one side, exposure, lens and `noise` (int8, as many as the image's values)."""
    light = np.rint(128 * illumination(shot, len(image))).astype(np.uint16)
    image = np.minimum((image * light[:, :, None]) >> 7, 255).astype(np.uint8)
    image = cv2.LUT(image, tone_curves(shot))
    if shot.gray:
        gray = (image * GRAY).sum(axis=2, dtype=np.uint16) >> 8
        image = np.repeat(gray[:, :, None], 3, axis=2).astype(np.uint8)
    image = soften(image, shot.blur)
    noise = (noise.reshape(image.shape).astype(np.int16) * int(shot.noise)) >> 7
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def illumination(shot, size):
    """Brightness [size, size] around 1: a slope and, in some pictures, a shadow with an edge."""
    axis = np.linspace(-1.0, 1.0, size)

    def slope(angle):
        return axis * np.cos(angle) + axis[:, None] * np.sin(angle)

    brightness = 1 + shot.light_strength * slope(shot.light_angle)
    if shot.has_shadow:
        dark = slope(shot.shadow_angle) > shot.shadow_offset
        brightness *= np.where(dark, shot.shadow_depth, 1.0)
    return brightness


def tone_curves(shot):
    """Exposure, gamma and white balance of the three colours: uint8 [1, 256, 3]."""
    gains = shot.exposure * np.array([1 + shot.warmth, 1 + shot.green, 1 - shot.warmth])
    curve = 255 * (np.arange(256) / 255.0) ** shot.gamma
    return np.minimum(np.rint(curve[:, None] * gains), 255).astype(np.uint8)[None]


def soften(image, blur):
    """Sharp, a little or much blurred, or of low resolution."""
    if blur < 0.4:
        return image
    if blur < 0.92:
        return cv2.GaussianBlur(image, (3, 3) if blur < 0.8 else (5, 5), 0)
    size = len(image)
    low = cv2.resize(image, (size // 2, size // 2), interpolation=cv2.INTER_LINEAR_EXACT)
    return cv2.resize(low, (size, size), interpolation=cv2.INTER_LINEAR_EXACT)
