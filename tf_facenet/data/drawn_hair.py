"""Hair and beard of a drawn face."""

import numpy as np

from tf_facenet.data.drawn_outline import head_outline, mouth_height
from tf_facenet.data.drawn_shapes import BOW, CIRCLES, DARK, SPAN, Shape, band, both_sides, directions, mix, oval

HAIRS = [(28, 24, 26), (58, 38, 26), (96, 62, 36), (132, 64, 34), (176, 88, 40), (188, 148, 88),
         (226, 200, 140), (168, 168, 172), (146, 58, 104), (58, 96, 138)]
DYES = [(20, 20, 24), (120, 50, 130), (60, 110, 170), (230, 215, 170), (190, 60, 80), (90, 60, 40),
        (70, 140, 90), (240, 240, 236)]
STYLES = ["bald", "bun", "bun", "buns", "pigtails", "cloud", "cloud", "cropped", *["loose"] * 8]
BEARDS = [*["none"] * 5, "stubble", "moustache", "goatee", "chin", "full"]
CROWN = directions(-0.96, -0.04, 25)  # the upper half circle, from left to right
JAW = directions(0.02, 0.98, 21)


def color(person, shot):
    """The person's hair colour, in some pictures dyed."""
    if shot.dyed:
        return DYES[int(shot.dye)]
    shade = person.hair_shade * shot.hair_light
    return tuple(min(channel * shade, 255) for channel in HAIRS[int(person.hair_color)])


def behind(person, hair):
    """What is seen of the hair behind the head."""
    style, wide = STYLES[int(person.hair_style)], person.head_width * (1.02 + person.hair_volume)
    shade = mix(hair, DARK, 0.25)
    if style == "loose" and person.hair_length > 0:
        return [Shape(_curtain(wide, wide * person.hair_flare, person.hair_length), shade,
                      lift=-0.35)]
    if style == "bun":
        return [Shape(oval(-1j * (person.crown + 0.12), 0.28, 0.24, 20), shade, lift=-0.2)]
    if style == "buns":
        bun = oval(0.8 * wide - 0.8j * person.crown, 0.26, 0.26, 20)
        return both_sides(Shape(bun, shade, lift=-0.2))
    if style == "pigtails":
        return both_sides(Shape(oval(0.8 * wide + 0.25j, 0.26, 0.55, 20), shade, lift=-0.2))
    if style == "cloud":
        cloud = oval(-0.25j, 1.18 * wide, 1.2 * person.crown, 40)
        curls = 1 + 0.05 * np.abs(np.sin(9 * np.angle(CIRCLES[40])))
        return [Shape(cloud * curls, shade, lift=-0.2)]
    return []


def _curtain(wide, flare, end):
    right = np.array([wide - 0.35j, flare + 1j * (end - 0.12), 0.85 * flare + 1j * end])
    return np.concatenate([right, -right[::-1].conjugate()])


def in_front(person, hair):
    """Hair over the forehead, between the outline of the crown and the hair line."""
    style = STYLES[int(person.hair_style)]
    if style == "bald":
        return []
    along = np.linspace(0.0, np.pi, len(CROWN))
    waves = int(person.hair_waves)
    volume = person.hair_volume * (0.3 if style == "cropped" else 1.0) * np.sin(along) ** 0.7
    ripple = person.hair_wave * np.sin(waves * along + person.hair_phase)
    crown = head_outline(person, CROWN) * (1.0 + volume + ripple)
    edge = _hair_line(person, waves)
    strands = [Shape(np.array([0.97 * crown[k], edge[k]]), mix(hair, DARK, 0.25), 0.014, 0.03)
               for k in (8, 12, 16)]
    return [Shape(band(crown, edge), hair, lift=0.03), *strands]


def _hair_line(person, waves):
    """From temple to temple [25]: a parting on one side, a peak or a gap in the middle, waves."""
    across = np.linspace(-1.0, 1.0, len(CROWN))
    height = (person.hair_temple * across**6 + person.hair_part * across * (1 - across**4)
              + person.hair_peak * np.maximum(1 - np.abs(across) / person.hair_peak_width, 0)
              + 0.6 * person.hair_wave * np.cos(np.pi * waves * across)
              - person.hair_line * person.crown)
    skull = -0.98 * person.crown * np.sqrt(1 - (0.97 * across) ** 2)
    height = np.maximum(np.minimum(height, person.eye_y + 0.25), skull)
    return 0.97 * person.head_width * across + 1j * height


def beard(person, skin, hair):
    """Stubble, a moustache, a goatee, a beard or all of it; half of the people have none."""
    kind = BEARDS[int(person.beard)]
    tone = mix(skin, mix(hair, DARK, 0.2), person.beard_tone)
    level, length, shapes = mouth_height(person), person.beard_length, []
    if kind in ("stubble", "chin", "full"):
        stubble = kind == "stubble"
        outer = head_outline(person, JAW[::-1]) * (1.0 if stubble else 1.0 + length)
        inner = 0.62 * person.head_width * SPAN + 1j * (level - 0.08 + 0.20 * BOW)
        shapes.append(Shape(band(outer, inner), mix(skin, DARK, 0.22) if stubble else tone))
    if kind in ("goatee", "full"):
        chin = oval(1j * (level + 0.27), 0.10 + 0.6 * length, 0.10 + length)
        shapes.append(Shape(chin, tone))
    if kind in ("moustache", "goatee", "full"):
        lower = 1.1 * person.mouth_width * SPAN
        lower = lower + 1j * (level - person.upper_lip - 0.02 + 0.08 * SPAN**2)
        upper = lower - 1j * (0.05 + 0.3 * length) * np.sqrt(BOW)
        shapes.append(Shape(band(upper, lower), tone, lift=0.08))
    return shapes
