"""Turns the shapes of a drawn face into a picture: pose, background, paint, light, lens and noise.

Everything after the pose is integer arithmetic or an OpenCV operation that is bit-exact on 8 bits, and the pose is
rounded to 1/16 of a pixel, so that the last bit of a sine cannot move a pixel from one machine to the next.
"""

import cv2
import numpy as np

from tf_facenet.data import drawn_features, drawn_traits

SHIFT = 4                # fixed point of the points: 1/16 pixel
DEPTH = 0.62             # how far the middle of the face stands before its outline, in half heads
PERSPECTIVE = 0.12


def picture(seed, identity, variant, size):
    """Picture `variant` of an identity: uint8 RGB [size, size, 3]."""
    key = (seed, identity, variant)
    person, shot = drawn_traits.person_traits(seed, identity), drawn_traits.picture_traits(*key)
    places = drawn_traits.uniforms("marks", 40, seed, identity)
    colors = [tuple(row) for row in (drawn_traits.uniforms("colors", 9, *key) * 255).reshape(3, 3).tolist()]
    image = background(drawn_traits.uniforms("background", 140, *key), shot, size)
    paint(image, drawn_features.face(person, shot, places, colors), person, shot)
    return develop(image, shot, key)


def project(shapes, person, shot, size):
    """Points of all shapes after the head's turn: int32 [sum of k, 2] in 1/16 pixel."""
    points = np.concatenate([shape.points for shape in shapes])
    lift = np.concatenate([np.broadcast_to(shape.lift, shape.points.shape) for shape in shapes])
    x, y = points.real, points.imag
    surface = 1.0 - (x / person.head_width) ** 2 - (y / person.head_height) ** 2
    z = DEPTH * np.sqrt(np.maximum(surface, 0.0)) + lift
    x, z = x * np.cos(shot.yaw) + z * np.sin(shot.yaw), z * np.cos(shot.yaw) - x * np.sin(shot.yaw)
    y, z = y * np.cos(shot.pitch) - z * np.sin(shot.pitch), z * np.cos(shot.pitch) + y * np.sin(shot.pitch)
    turned = (x + 1j * y) * (1.0 + PERSPECTIVE * (z - DEPTH / 2)) * np.exp(1j * shot.roll)
    turned = ((turned * shot.scale + shot.shift_x + 1j * shot.shift_y + 0.5 + 0.5j) * size - 0.5 - 0.5j) * 2**SHIFT
    return np.rint(np.stack([turned.real, turned.imag], axis=1)).astype(np.int32)


def paint(image, shapes, person, shot):
    """Paints the shapes into `image`, in their order."""
    points, start, unit = project(shapes, person, shot, len(image)), 0, shot.scale * len(image)
    for shape in shapes:
        part = points[start:start + len(shape.points)]
        start += len(shape.points)
        if shape.width:
            cv2.polylines(image, [part], False, shape.color, max(1, round(shape.width * unit)), cv2.LINE_AA, SHIFT)
        else:
            cv2.fillPoly(image, [part], shape.color, cv2.LINE_AA, SHIFT)


def background(values, shot, size):
    """Soft or hard patches of colour with some shapes on them; `values` uniforms [140]."""
    cells = 2 + int(4 * shot.clutter)
    patches = (10 + values[: cells * cells * 3] * 245).astype(np.uint8).reshape(cells, cells, 3)
    how = cv2.INTER_LINEAR_EXACT if values[110] < 0.6 else cv2.INTER_NEAREST
    image = cv2.resize(patches, (size, size), interpolation=how)
    corners = np.rint(values[111:135].reshape(4, 3, 2) * size * 2**SHIFT).astype(np.int32)
    for triangle, gray in zip(corners[: int(5 * values[135])], values[136:140].tolist(), strict=False):
        cv2.fillPoly(image, [triangle], (80 + 120 * gray, 190 - 100 * gray, 100 + 90 * gray * gray), cv2.LINE_AA, SHIFT)
    return image


def develop(image, shot, key):
    """Light, exposure, lens and noise, in integers."""
    size = len(image)
    axis = np.linspace(-1.0, 1.0, size)
    slope = shot.light_strength * (axis * np.cos(shot.light_angle) + axis[:, None] * np.sin(shot.light_angle))
    if shot.shadow < 0.08:
        side = axis * np.cos(shot.shadow_angle) + axis[:, None] * np.sin(shot.shadow_angle) > shot.shadow_offset
        slope = (1 + slope) * np.where(side, shot.shadow_depth, 1.0) - 1
    gain = np.rint(128 * (1 + slope)).astype(np.uint16)
    image = np.minimum((image * gain[:, :, None]) >> 7, 255).astype(np.uint8)
    image = cv2.LUT(image, tone_curves(shot))
    if shot.gray < 0.015:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    image = soften(image, shot.blur)
    noise = drawn_traits.raw_words("noise", (image.size + 7) // 8, *key).astype("<u8").view(np.int8)[: image.size]
    strength = int(shot.noise)
    noise = (noise.reshape(image.shape).astype(np.int16) * strength) >> 7
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def tone_curves(shot):
    """Exposure, gamma and white balance of one picture: uint8 [1, 256, 3]."""
    gains = np.array([1 + shot.warmth, 1 + shot.green, 1 - shot.warmth]) * shot.exposure
    curve = (np.arange(256) / 255.0) ** shot.gamma
    return np.clip(np.rint(255 * curve[:, None] * gains), 0, 255).astype(np.uint8)[None]


def soften(image, blur):
    """None, a little or much blur, or a low resolution."""
    size = len(image)
    if blur < 0.4:
        return image
    if blur < 0.8:
        return cv2.GaussianBlur(image, (3, 3), 0)
    if blur < 0.92:
        return cv2.GaussianBlur(image, (5, 5), 0)
    low = cv2.resize(image, (size // 2, size // 2), interpolation=cv2.INTER_LINEAR_EXACT)
    return cv2.resize(low, (size, size), interpolation=cv2.INTER_LINEAR_EXACT)
