"""The shapes of a drawn face: each feature turns traits into a few coloured shapes, listed from back to front.

Points are complex numbers x + iy (unit: half a head's height, y down, origin the middle of the head), so that turning
and mirroring are a multiplication and a conjugation. `lift` is the height above the head's surface towards the viewer:
what is lifted moves more when the head turns.
"""

from typing import NamedTuple

import numpy as np

SKINS = [(255, 226, 204), (242, 200, 160), (222, 170, 125), (190, 132, 88), (146, 95, 60), (92, 58, 40)]
HAIRS = [(28, 24, 26), (58, 38, 26), (96, 62, 36), (132, 64, 34), (176, 88, 40), (188, 148, 88), (226, 200, 140), (168, 168, 172), (146, 58, 104), (58, 96, 138)]
DYES = [(20, 20, 24), (120, 50, 130), (60, 110, 170), (230, 215, 170), (190, 60, 80), (90, 60, 40), (70, 140, 90), (240, 240, 236)]
IRISES = [(58, 36, 22), (98, 62, 32), (128, 106, 52), (84, 120, 72), (70, 116, 160), (116, 130, 140)]
LIPS = [(204, 122, 112), (172, 84, 84), (224, 138, 130), (150, 96, 84), (190, 60, 78)]
WHITE, DARK, MOUTH = (246, 244, 240), (30, 22, 24), (92, 28, 34)


class Shape(NamedTuple):
    """A filled polygon, or with a `width` a line, of complex `points` [k]."""

    points: np.ndarray
    color: tuple
    width: float = 0.0
    lift: float | np.ndarray = 0.0


def mix(color, other, share):
    """`color` with a `share` (0..1) of `other`."""
    return tuple(a + (b - a) * share for a, b in zip(color, other, strict=True))


def ramp(colors, position):
    """The colour at `position` 0..1 of a list of colours, interpolated."""
    index, share = divmod(min(max(position, 0.0), 0.999) * (len(colors) - 1), 1.0)
    return mix(colors[int(index)], colors[int(index) + 1], share)


def _unit(count):
    return np.exp(2j * np.pi * np.arange(count) / count)


CIRCLES = {count: _unit(count) for count in (8, 12, 20, 40)}
SPAN = np.linspace(-1.0, 1.0, 13)          # left to right along a feature
BOW = 1.0 - SPAN**2                        # 0 at its ends, 1 in its middle
TOP = np.exp(1j * np.linspace(np.pi * 0.96, np.pi * 0.04, 25)).conjugate()      # the upper half circle, left to right


def oval(center, width, height, count=12):
    """A filled-polygon ellipse [count] with half axes `width` and `height`."""
    circle = CIRCLES[count]
    return center + width * circle.real + 1j * height * circle.imag


def mirrored(shapes):
    """The shapes seen in a mirror: what is right of the nose goes to the left."""
    return [shape._replace(points=-shape.points.conjugate()) for shape in shapes]


def both_sides(shapes):
    """The shapes of the right half of the face and their mirror images."""
    return [*shapes, *mirrored(shapes)]


def head_outline(person, circle):
    """Points of the head's outline at the angles of the unit `circle`: a round crown, then jaw and chin."""
    x, y = circle.real, circle.imag
    down = np.maximum(y, 0.0)
    jaw = np.abs(x) ** person.jaw_square * np.sign(x)
    wide = x + (jaw * person.jaw_width - x) * np.minimum(1.6 * down, 1.0)
    chin = person.chin_width * np.sign(x) * np.minimum(4.0 * np.abs(x), 1.0) * np.maximum(down - 0.75, 0.0)
    height = np.where(y > 0, person.head_height * (y + person.chin_drop * down**4), person.crown * y)
    return person.head_width * (wide + chin) + 1j * height


def skin_color(person, picture):
    """The skin of this picture: the person's, more or less tanned."""
    red, green, blue = ramp(SKINS, person.skin + picture.tan)
    return (min(red + 8 * person.skin_warmth, 255), green, max(blue - 14 * person.skin_warmth, 0))


def hair_color(person, picture):
    """The person's hair colour, in some pictures dyed."""
    if picture.hair_dye < 0.02:
        return DYES[int(picture.dye_color)]
    return tuple(min(channel * person.hair_shade * picture.hair_light, 255) for channel in HAIRS[int(person.hair_color)])


def body(person, skin, clothes):
    """Neck and shoulders."""
    jaw = person.head_width * person.jaw_width
    neck = np.array([-0.55 * jaw + 0.5j, 0.55 * jaw + 0.5j, 0.6 * jaw + 1.5j, -0.6 * jaw + 1.5j])
    shoulders = oval(1.85j, 1.35, 0.62, 20)
    return [Shape(neck, mix(skin, DARK, 0.22), lift=-0.4), Shape(shoulders, clothes, lift=-0.5)]


def ears(person, skin):
    """Both ears, drawn before the head."""
    center = person.head_width + person.ear_out * 0.6 + 1j * (person.eye_y + 0.18 + person.ear_y)
    size = person.ear_size
    return both_sides([Shape(oval(center, size * 0.62, size), mix(skin, DARK, 0.08), lift=-0.1),
                       Shape(oval(center, size * 0.32, size * 0.6), mix(skin, DARK, 0.26), lift=-0.1)])


def head(person, skin):
    """The head with blushed cheeks."""
    cheek = oval(0.46 * person.head_width / 0.78 + 1j * (person.eye_y + 0.36), 0.17, 0.13)
    outline = head_outline(person, CIRCLES[40])
    return [Shape(outline, mix(skin, DARK, 0.30)), Shape(outline * 0.975, skin),
            *both_sides([Shape(cheek, mix(skin, (226, 90, 84), 0.35 * person.blush))])]


def marks(person, skin, places):
    """Freckles, moles and the lines of age; `places` are uniforms [40]."""
    shapes = []
    if person.freckles > 0:
        spots = (places[:12] * 0.95 - 0.475) * person.head_width / 0.7 + 1j * (person.eye_y + 0.16 + 0.26 * places[12:24])
        shapes += [Shape(oval(spot, 0.02, 0.02, 8), mix(skin, (120, 60, 30), 0.25 + 0.35 * person.freckles)) for spot in spots]
    for index in range(int(person.moles)):
        center = (places[24 + index] * 1.1 - 0.55) * person.head_width + 1j * (places[28 + index] * 1.1 - 0.4)
        shapes.append(Shape(oval(center, 0.035, 0.035, 8), mix(skin, (50, 26, 18), 0.85)))
    if person.age > 0.6:
        line = mix(skin, DARK, 0.55 * person.age - 0.1)
        fold = person.mouth_width + 0.06 + 1j * (person.eye_y + person.nose_length) + 0.05 * BOW + 0.22j * (SPAN + 1)
        shapes += both_sides([Shape(fold[4:], line, 0.02)])
        shapes += [Shape(0.3 * SPAN - 1j * (0.03 * BOW + person.brow_gap - person.eye_y + height), line, 0.018)
                   for height in (0.24, 0.33)[: 1 + (person.age > 0.8)]]
    return shapes


def eyes(person, picture, skin):
    """Both eyes, looking the same way."""
    look = 0.3 * person.eye_width * picture.gaze_x + 0.25j * person.eye_height * picture.gaze_y
    return [*_right_eye(person, picture, skin, look), *mirrored(_right_eye(person, picture, skin, -look.conjugate()))]


def _right_eye(person, picture, skin, look):
    center = person.eye_distance + 1j * person.eye_y
    tilt = np.exp(-1j * person.eye_slant)
    wide, tall = person.eye_width, person.eye_height * (0.08 if picture.blink < 0.05 else picture.eye_open)
    upper = center + tilt * (wide * SPAN - 1j * tall * BOW**0.6)
    lower = center + tilt * (wide * SPAN + 0.8j * tall * BOW**0.8)
    iris = min(person.eye_height * person.iris, wide * 0.8)
    shapes = [Shape(np.concatenate([upper, lower[::-1]]), WHITE),
              Shape(oval(center + look, iris, min(iris, tall * 0.9)), ramp(IRISES, person.eye_color / 6)),
              Shape(oval(center + look, iris * 0.45, min(iris * 0.45, tall * 0.8), 8), DARK),
              Shape(upper, mix(skin, DARK, 0.85), 0.022 + 0.03 * person.lashes)]
    if person.eye_bag > 0:
        bag = oval(center + 1.15j * person.eye_height, wide, person.eye_height * 0.45)
        shapes.insert(0, Shape(bag, mix(skin, (110, 70, 90), 0.35 * person.eye_bag)))
    if person.lid > 0.4:
        shapes.append(Shape(upper - 1j * (0.03 + 0.04 * person.lid), mix(skin, DARK, 0.4), 0.018))
    return shapes


def brows(person, picture, skin, hair):
    """Both eyebrows: arched bands that taper outwards."""
    height = person.eye_y - person.eye_height - person.brow_gap - picture.brow_raise
    center = person.eye_distance * 1.02 + 1j * height
    tilt = np.exp(-1j * (person.brow_slant + picture.frown * -1.0))
    thick = person.brow_thickness * (0.5 + 0.5 * np.sqrt(np.maximum(1 - 0.9 * (SPAN + 1) / 2, 0)))
    spine = person.brow_width * SPAN - 1j * person.brow_arch * BOW
    band = np.concatenate([spine - 1j * thick / 2, (spine + 1j * thick / 2)[::-1]])
    color = mix(mix(skin, DARK, 0.5), mix(hair, DARK, 0.3), 0.35 + 0.65 * person.brow_tone)
    return both_sides([Shape(center + tilt * band, color, lift=0.02)])


def nose(person, skin):
    """Bridge, wings, tip and nostrils; the tip stands out and so moves when the head turns."""
    top, tip = person.eye_y - 0.03, person.eye_y + person.nose_length
    width, bridge, out = person.nose_width, person.nose_bridge, person.nose_lift
    shade, deep, light = mix(skin, DARK, 0.14), mix(skin, DARK, 0.5), mix(skin, WHITE, 0.28)
    under = tip + person.nose_tip
    side = np.array([bridge + 1j * top, bridge * 1.1 + 1j * (top + tip) / 2, width * 0.75 + 1j * (tip - 0.10),
                     width + 1j * (tip - 0.02), width * 0.8 + 1j * (tip + 0.04), 1j * (under + 0.03)])
    lifts = np.array([0.04, out * 0.5, out * 0.5, out * 0.3, out * 0.4, out])
    wing = Shape(side[2:], deep, 0.022, lifts[2:])
    nostril = Shape(oval(width * 0.45 + 1j * (tip + 0.02), width * 0.22, 0.022, 8), deep, lift=out * 0.7)
    ball = Shape(oval(1j * (under - 0.06), 0.05 + 0.6 * width * person.nose_round, 0.06, 12), light, lift=out)
    ridge = Shape(np.array([1j * (top + 0.08), 1j * (tip - 0.1)]), light, bridge * 0.8, np.array([0.06, out * 0.8]))
    full = np.concatenate([side, -side[::-1].conjugate()])
    return [Shape(full, shade, lift=np.concatenate([lifts, lifts[::-1]])), ridge, ball, *both_sides([wing, nostril])]


def mouth_y(person):
    """Height of the mouth's middle line."""
    return person.eye_y + person.nose_length + person.mouth_y


def mouth(person, picture, skin):
    """Lips, and when the mouth is open the dark inside with teeth."""
    smile = picture.smile + person.mouth_corner
    open_ = max(picture.mouth_open, 0.0)
    wide = person.mouth_width * (1 + 1.2 * picture.smile - 0.5 * open_)
    line = wide * SPAN + 1j * (mouth_y(person) - smile * SPAN**2)
    upper = line - 1j * person.upper_lip * (np.sqrt(BOW) - person.cupid * 0.6 * np.maximum(1 - 3 * np.abs(SPAN), 0)) - 0.3j * open_ * BOW
    lower = line + 1j * (person.lower_lip + open_) * BOW
    color = mix(mix(skin, (176, 70, 76), 0.55), ramp(LIPS, person.lip_color), 0.5)
    if picture.makeup < 0.15:
        color = mix(color, (180, 20, 50), 0.7)
    shapes = [Shape(np.concatenate([upper, lower[::-1]]), color, lift=0.06)]
    if open_ > 0.02:
        top, bottom = line - 0.3j * open_ * BOW, line + 1j * open_ * BOW
        shapes += [Shape(np.concatenate([top, bottom[::-1]])[1:-1], MOUTH, lift=0.05),
                   Shape(np.concatenate([top[2:-2], (top + 0.3j * open_ * BOW)[2:-2][::-1]]), WHITE, lift=0.05)]
    else:
        shapes.append(Shape(line, mix(color, DARK, 0.6), 0.018, 0.06))
    return shapes


def beard(person, skin, hair):
    """Nothing for half of the people; else stubble, moustache, goatee or a full beard."""
    kind, tone = int(person.beard) - 5, mix(skin, mix(hair, DARK, 0.2), person.beard_tone)
    if kind < 0:
        return []
    shapes, level = [], mouth_y(person)
    jaw = head_outline(person, np.exp(1j * np.linspace(0.02, 0.98, 21) * np.pi))
    inner = np.linspace(1.0, -1.0, 13) * person.head_width * 0.62 + 1j * (level - 0.08 + 0.20 * BOW)
    if kind in (0, 3, 4):
        grown = jaw * (1.0 if kind == 0 else 1.0 + person.beard_length)
        color = mix(skin, DARK, 0.22) if kind == 0 else tone
        shapes.append(Shape(np.concatenate([grown, inner[::-1]]), color))
    if kind in (2, 4):
        shapes.append(Shape(oval(1j * (level + 0.27), 0.10 + person.beard_length * 0.6, 0.10 + person.beard_length), tone))
    if kind in (1, 2, 4):
        wide = person.mouth_width * 1.1
        thick = 0.05 + 0.3 * person.beard_length
        band = wide * SPAN + 1j * (level - person.upper_lip - 0.02 + 0.08 * SPAN**2)
        shapes.append(Shape(np.concatenate([band - 1j * thick * np.sqrt(BOW), band[::-1]]), tone, lift=0.08))
    return shapes


def back_hair(person, hair):
    """Hair behind the head: its length, a bun, a cloud of curls."""
    style, wide = int(person.hair_style), person.head_width * (1.02 + person.hair_volume)
    color = mix(hair, DARK, 0.25)
    shapes = []
    if style >= 8 and person.hair_length > 0:
        flare, end = wide * (1.0 + 0.12 * np.sin(person.hair_phase)), person.hair_length
        curtain = np.array([-wide - 0.35j, -flare + 1j * (end - 0.12), -flare * 0.85 + 1j * end,
                            flare * 0.85 + 1j * end, flare + 1j * (end - 0.12), wide - 0.35j])
        shapes.append(Shape(curtain, color, lift=-0.35))
    if style in (1, 2):
        shapes.append(Shape(oval(-1j * (person.crown + 0.12), 0.28, 0.24, 20), color, lift=-0.2))
    if style in (3, 4):
        bun = oval(wide * 0.8 - 1j * (person.crown * 0.8 if style == 3 else -0.25), 0.26, 0.26 if style == 3 else 0.55, 20)
        shapes += both_sides([Shape(bun, color, lift=-0.2)])
    if style in (5, 6):
        circle = CIRCLES[40]
        curls = 1 + 0.05 * np.abs(np.sin(9 * np.angle(circle)))
        shapes.append(Shape((wide * 1.18 * circle.real + 1j * (person.crown * 1.2 * circle.imag - 0.25)) * curls, color, lift=-0.2))
    return shapes


def front_hair(person, hair):
    """Hair over the forehead, from the outline of the crown to the hair line. Style 0 is bald."""
    style = int(person.hair_style)
    if style == 0:
        return []
    angle = np.linspace(0.0, np.pi, TOP.size)
    waves = person.hair_wave * np.sin(int(person.hair_waves) * angle + person.hair_phase)
    volume = 1.0 + (person.hair_volume * (0.3 if style in (7, 8) else 1.0)) * np.sin(angle) ** 0.7 + waves
    crown = head_outline(person, TOP) * volume
    across = np.linspace(1.0, -1.0, 25)
    peak = np.maximum(1 - np.abs(across) / person.hair_peak_width, 0)
    line = person.hair_temple * across**6 + person.hair_part * across * (1 - across**4) + person.hair_peak * peak
    fringe = 0.6 * person.hair_wave * np.cos(int(person.hair_waves) * np.pi * across)
    edge = person.head_width * 0.97 * across + 1j * np.minimum(line + fringe - person.crown * person.hair_line, person.eye_y + 0.25)
    edge = edge.real + 1j * np.maximum(edge.imag, -person.crown * np.sqrt(np.maximum(1 - (0.97 * across) ** 2, 0)) * 0.98)
    strands = [Shape(np.array([crown[k] * 0.97, edge[24 - k]]), mix(hair, DARK, 0.25), 0.014, 0.03) for k in (8, 12, 16)]
    return [Shape(np.concatenate([crown, edge]), hair, lift=0.03), *strands]


def glasses(person, picture):
    """In one picture of five: frames, some of them dark."""
    if picture.glasses > 0.14:
        return []
    dark = picture.glasses < 0.01
    frame = ramp([DARK, (120, 70, 40), (170, 40, 50), (200, 200, 205)], picture.glasses_color)
    rim = CIRCLES[20]
    square = 1 - 0.45 * picture.glasses_shape
    rim = np.abs(rim.real) ** square * np.sign(rim.real) + 1j * np.abs(rim.imag) ** square * np.sign(rim.imag)
    center = person.eye_distance * 1.02 + 1j * (person.eye_y + 0.02)
    lens = center + 0.245 * rim.real * min(person.eye_distance / 0.3, 1.0) + 1j * 0.19 * rim.imag
    closed = np.append(lens, lens[0])
    bow = np.array([lens.real.max() + 1j * person.eye_y, person.head_width * 0.98 + 1j * (person.eye_y - 0.02)])
    bridge = np.array([-lens.real.min() + 0.01 + 1j * person.eye_y, lens.real.min() + 1j * person.eye_y])
    shapes = both_sides([Shape(closed, frame, 0.035, 0.15), Shape(bow, frame, 0.035, 0.05)])
    shapes.append(Shape(bridge, frame, 0.035, 0.2))
    return (both_sides([Shape(lens, (36, 34, 40), lift=0.15)]) if dark else []) + shapes


def cover(person, picture, color, second):
    """What else may hide a part of the face: a hat, a scarf, something in front of the camera."""
    shapes = []
    if picture.hat < 0.05:
        brim = -picture.hat_height + 0.05
        dome = head_outline(person, TOP) * (1.12 + person.hair_volume * 0.5)
        dome = dome.real * 1.02 + 1j * np.minimum(dome.imag, brim)
        shapes += [Shape(dome, color, lift=0.08), Shape(person.head_width * 1.1 * SPAN + 1j * (brim - 0.05 * BOW), second, 0.13, 0.12)]
    if picture.scarf < 0.02:
        top = person.head_width * 1.1 * SPAN + 1j * (picture.scarf_y + 0.06 * BOW)
        shapes += [Shape(np.concatenate([top, top[::-1] + 0.9j]), second, lift=0.15), Shape(top, color, 0.06, 0.16)]
    if picture.patch < 0.06:
        angle = picture.patch_angle
        center = 0.75 * (np.cos(angle) + 1j * np.sin(angle))
        blob = oval(center, picture.patch_size, picture.patch_size * 0.7, 12) 
        shapes.append(Shape(blob, color if picture.patch < 0.04 else mix(color, second, 0.5), lift=0.3))
    return shapes


def face(person, picture, places, colors):
    """All shapes of one picture from back to front; `places` uniforms [40], `colors` RGB tuples [3]."""
    skin, hair = skin_color(person, picture), hair_color(person, picture)
    return [*back_hair(person, hair), *body(person, skin, colors[0]), *ears(person, skin), *head(person, skin),
            *marks(person, skin, places), *beard(person, skin, hair), *mouth(person, picture, skin),
            *eyes(person, picture, skin), *nose(person, skin), *brows(person, picture, skin, hair),
            *front_hair(person, hair), *glasses(person, picture), *cover(person, picture, colors[1], colors[2])]
