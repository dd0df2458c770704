"""Head, eyes, brows, nose and mouth of a drawn face, and their assembly.

Each function turns traits (`drawn_traits`) into shapes (`drawn_shapes`), listed from back to front.
"""

import numpy as np

from tf_facenet.data import drawn_hair
from tf_facenet.data.drawn_covers import covers, glasses
from tf_facenet.data.drawn_outline import head_outline, mouth_height
from tf_facenet.data.drawn_shapes import (
    BOW,
    CIRCLES,
    DARK,
    SPAN,
    WHITE,
    Shape,
    band,
    both_sides,
    mirrored,
    mix,
    oval,
    ramp,
)

SKINS = [(255, 226, 204), (242, 200, 160), (222, 170, 125), (190, 132, 88), (146, 95, 60),
         (92, 58, 40)]
IRISES = [(58, 36, 22), (98, 62, 32), (128, 106, 52), (84, 120, 72), (70, 116, 160),
          (116, 130, 140)]
LIPS = [(204, 122, 112), (172, 84, 84), (224, 138, 130), (150, 96, 84), (190, 60, 78)]
BLUSH, BAG, FRECKLE, MOLE = (226, 90, 84), (110, 70, 90), (120, 60, 30), (50, 26, 18)
FLESH, LIPSTICK, MOUTH = (176, 70, 76), (180, 20, 50), (92, 28, 34)


def face(person, shot, places, colors):
    """All shapes of one picture.

    Args:
        person: traits of the person.
        shot: traits of the picture.
        places: uniforms [40] of the person, where freckles and moles are.
        colors: RGB of the picture's clothes, hat and scarf [3].
    """
    skin, hair = skin_color(person, shot), drawn_hair.color(person, shot)
    return [*drawn_hair.behind(person, hair), *body(person, skin, colors[0]), *ears(person, skin),
            *head(person, skin), *marks(person, skin, places), *age_lines(person, skin),
            *drawn_hair.beard(person, skin, hair), *mouth(person, shot, skin),
            *eyes(person, shot, skin), *nose(person, skin), *brows(person, shot, skin, hair),
            *drawn_hair.in_front(person, hair), *glasses(person, shot),
            *covers(person, shot, colors[1], colors[2])]


def skin_color(person, shot):
    """The person's skin, more or less tanned."""
    red, green, blue = ramp(SKINS, person.skin + shot.tan)
    warmth = person.skin_warmth
    return (min(red + 8 * warmth, 255), green, max(blue - 14 * warmth, 0))


def body(person, skin, clothes):
    """Neck and shoulders."""
    jaw = person.head_width * person.jaw_width
    neck = np.array([-0.55 * jaw + 0.5j, 0.55 * jaw + 0.5j, 0.6 * jaw + 1.5j, -0.6 * jaw + 1.5j])
    return [Shape(neck, mix(skin, DARK, 0.22), lift=-0.4),
            Shape(oval(1.85j, 1.35, 0.62, 20), clothes, lift=-0.5)]


def ears(person, skin):
    """Both ears, which the head covers partly."""
    center = person.head_width + person.ear_out + 1j * (person.eye_y + person.ear_y)
    size = person.ear_size
    outer, inner = oval(center, size * 0.62, size), oval(center, size * 0.32, size * 0.6)
    return both_sides(Shape(outer, mix(skin, DARK, 0.08), lift=-0.1),
                      Shape(inner, mix(skin, DARK, 0.26), lift=-0.1))


def head(person, skin):
    """The head with its cheeks."""
    outline = head_outline(person, CIRCLES[40])
    cheek = oval(0.59 * person.head_width + 1j * (person.eye_y + 0.36), 0.17, 0.13)
    return [Shape(outline, mix(skin, DARK, 0.30)), Shape(outline * 0.975, skin),
            *both_sides(Shape(cheek, mix(skin, BLUSH, 0.35 * person.blush)))]


def marks(person, skin, places):
    """Freckles across the nose, and moles anywhere."""
    shapes = []
    if person.freckles > 0:
        spots = (1.36 * places[:12] - 0.68) * person.head_width
        spots = spots + 1j * (person.eye_y + 0.16 + 0.26 * places[12:24])
        color = mix(skin, FRECKLE, 0.25 + 0.35 * person.freckles)
        shapes += [Shape(oval(spot, 0.02, 0.02, 8), color) for spot in spots]
    for x, y in places[24:32].reshape(4, 2)[: int(person.moles)]:
        center = (1.1 * x - 0.55) * person.head_width + 1j * (1.1 * y - 0.4)
        shapes.append(Shape(oval(center, 0.035, 0.035, 8), mix(skin, MOLE, 0.85)))
    return shapes


def age_lines(person, skin):
    """The folds beside the mouth and on the forehead of older people."""
    if person.age < 0.6:
        return []
    color = mix(skin, DARK, 0.55 * person.age - 0.1)
    fold = person.mouth_width + 0.06 + 0.05 * BOW + 0.22j * (SPAN + 1)
    fold = fold + 1j * (person.eye_y + person.nose_length)
    forehead = 0.3 * SPAN - 1j * (0.03 * BOW + person.brow_gap - person.eye_y + 0.24)
    lines = [Shape(forehead, color, 0.018), Shape(forehead - 0.09j, color, 0.018)]
    return [*both_sides(Shape(fold[4:], color, 0.02)), *lines[: 1 + (person.age > 0.8)]]


def eyes(person, shot, skin):
    """Both eyes, looking the same way."""
    look = shot.gaze_x * person.eye_width + 1j * shot.gaze_y * 1.6 * person.eye_height
    return [*right_eye(person, shot, skin, look),
            *mirrored(right_eye(person, shot, skin, -look.conjugate()))]


def right_eye(person, shot, skin, look):
    """Bag, white, iris and pupil (moved by `look`), lashes and the crease of the lid."""
    center, tilt = person.eye_distance + 1j * person.eye_y, np.exp(-1j * person.eye_slant)
    wide, tall = person.eye_width, person.eye_height * (0.08 if shot.blinks else shot.eye_open)
    upper = center + tilt * (wide * SPAN - 1j * tall * BOW**0.6)
    lower = center + tilt * (wide * SPAN + 0.8j * tall * BOW**0.8)
    iris = min(person.eye_height * person.iris, wide * 0.8)
    pupil = 0.45 * iris
    shapes = [Shape(band(upper, lower), WHITE),
              Shape(oval(center + look, iris, min(iris, tall * 0.9)),
                    ramp(IRISES, person.iris_color)),
              Shape(oval(center + look, pupil, min(pupil, tall * 0.8), 8), DARK),
              Shape(upper, mix(skin, DARK, 0.85), 0.022 + 0.03 * person.lashes)]
    if person.eye_bag > 0:
        bag = oval(center + 1.15j * person.eye_height, wide, person.eye_height * 0.45)
        shapes.insert(0, Shape(bag, mix(skin, BAG, 0.35 * person.eye_bag)))
    if person.lid > 0.4:
        crease = upper - 1j * (0.03 + 0.04 * person.lid)
        shapes.append(Shape(crease, mix(skin, DARK, 0.4), 0.018))
    return shapes


def brows(person, shot, skin, hair):
    """Arched bands that grow thinner outwards."""
    height = person.eye_y - person.eye_height - person.brow_gap - shot.brow_raise
    tilt = np.exp(1j * (shot.frown - person.brow_slant))
    half = 0.25j * person.brow_thickness * (1 + np.sqrt(0.55 - 0.45 * SPAN))
    spine = person.brow_width * SPAN - 1j * person.brow_arch * BOW
    points = person.eye_distance * 1.02 + 1j * height + tilt * band(spine - half, spine + half)
    color = mix(mix(skin, DARK, 0.5), mix(hair, DARK, 0.3), 0.35 + 0.65 * person.brow_tone)
    return both_sides(Shape(points, color, lift=0.02))


def nose(person, skin):
    """Its side, ridge, tip, wings and nostrils; the tip stands out and moves with the head."""
    top, bottom = person.eye_y - 0.03, person.eye_y + person.nose_length
    tip = bottom + person.nose_tip
    width, bridge, out = person.nose_width, person.nose_bridge, person.nose_lift
    side = np.array([bridge + 1j * top, bridge * 1.1 + 0.5j * (top + bottom),
                     width * 0.75 + 1j * (bottom - 0.10), width + 1j * (bottom - 0.02),
                     width * 0.8 + 1j * (bottom + 0.04), 1j * (tip + 0.03)])
    lifts = np.array([0.04, out * 0.5, out * 0.5, out * 0.3, out * 0.4, out])
    ridge = np.array([1j * (top + 0.08), 1j * (bottom - 0.1)])
    ball = oval(1j * (tip - 0.06), 0.05 + 0.6 * width * person.nose_round, 0.06)
    nostril = oval(width * 0.45 + 1j * (bottom + 0.02), width * 0.22, 0.022, 8)
    dark, light = mix(skin, DARK, 0.5), mix(skin, WHITE, 0.28)
    return [Shape(band(side, -side.conjugate()), mix(skin, DARK, 0.14), lift=band(lifts, lifts)),
            Shape(ridge, light, bridge * 0.8, np.array([0.06, out * 0.8])),
            Shape(ball, light, lift=out),
            *both_sides(Shape(side[2:], dark, 0.022, lifts[2:]),
                        Shape(nostril, dark, lift=out * 0.7))]


def mouth(person, shot, skin):
    """Lips, closed or around the dark inside with its teeth."""
    smile, gap = shot.smile + person.mouth_corner, max(shot.mouth_open, 0.0)
    wide = person.mouth_width * (1 + 1.2 * shot.smile - 0.5 * gap)
    line = wide * SPAN + 1j * (mouth_height(person) - smile * SPAN**2)
    teeth, bottom = line - 0.3j * gap * BOW, line + 1j * gap * BOW
    heart = np.sqrt(BOW) - person.cupid * np.maximum(1 - 3 * np.abs(SPAN), 0)
    lips = band(teeth - 1j * person.upper_lip * heart, bottom + 1j * person.lower_lip * BOW)
    color = mix(mix(skin, FLESH, 0.55), ramp(LIPS, person.lip_color), 0.5)
    if shot.lipstick:
        color = mix(color, LIPSTICK, 0.7)
    shapes = [Shape(lips, color, lift=0.06)]
    if gap > 0.02:
        shapes += [Shape(band(teeth, bottom), MOUTH, lift=0.05),
                   Shape(band(teeth[2:-2], line[2:-2]), WHITE, lift=0.05)]
    else:
        shapes.append(Shape(line, mix(color, DARK, 0.6), 0.018, 0.06))
    return shapes
