"""What a drawn face is made of: the traits of a person, and those of one picture of the person.

A person's traits are the identity; a picture's are all that a face recogniser must look through:
pose, light, expression, things in front of the face, camera, background.

All values come from Philox, a counter-based generator (Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3"), as raw 64-bit words keyed by (seed, identity, picture). NumPy
promises never to change them, so picture j of person k is the same on every machine, however many
others are drawn. The order of the tables' entries is part of that: a new one goes to the end.
"""

from types import SimpleNamespace

import numpy as np

ROUND = 2 * np.pi

# Trait: (lowest, highest). Lengths are in units of half a head's height, y points down, the origin
# is the middle of the head.
PERSON = {
    "head_width": (0.62, 0.92), "head_height": (0.92, 1.06), "crown": (0.70, 1.08),
    "jaw_width": (0.66, 1.02), "jaw_square": (0.55, 1.15),
    "chin_width": (0.14, 0.40), "chin_drop": (-0.04, 0.12),
    "skin": (0, 1), "skin_warmth": (-1, 1), "blush": (0, 0.5),
    "eye_y": (-0.14, 0.12), "eye_distance": (0.38, 0.55), "eye_width": (0.38, 0.60),
    "eye_height": (0.05, 0.15), "eye_slant": (-0.30, 0.30), "eye_bag": (-0.5, 1),
    "iris": (0.55, 0.95), "iris_color": (0, 1), "lid": (0, 1), "lashes": (0, 1),
    "brow_gap": (0.05, 0.17), "brow_width": (0.12, 0.27), "brow_thickness": (0.012, 0.09),
    "brow_arch": (-0.02, 0.09), "brow_slant": (-0.25, 0.25), "brow_tone": (0, 1),
    "nose_length": (0.24, 0.54), "nose_width": (0.07, 0.23), "nose_bridge": (0.02, 0.08),
    "nose_tip": (-0.05, 0.07), "nose_lift": (0.10, 0.30), "nose_round": (0, 1),
    "mouth_y": (0.15, 0.30), "mouth_width": (0.20, 0.46), "mouth_corner": (-0.05, 0.05),
    "upper_lip": (0.015, 0.085), "lower_lip": (0.03, 0.11), "cupid": (0, 0.54),
    "lip_color": (0, 1), "ear_size": (0.13, 0.25), "ear_out": (-0.012, 0.072),
    "ear_y": (0.10, 0.30),
    "hair_style": (0, 16), "hair_color": (0, 10), "hair_shade": (0.8, 1.2),
    "hair_volume": (0.04, 0.24), "hair_length": (-0.6, 1.3), "hair_flare": (0.88, 1.12),
    "hair_line": (0.36, 0.86), "hair_part": (-0.34, 0.34), "hair_temple": (0.1, 0.6),
    "hair_peak": (-0.36, 0.22), "hair_peak_width": (0.2, 0.9),
    "hair_waves": (4, 13), "hair_wave": (0, 0.05), "hair_phase": (0, ROUND),
    "beard": (0, 10), "beard_length": (0.02, 0.22), "beard_tone": (0.45, 1),
    "age": (0, 1), "freckles": (-1.6, 1), "moles": (0, 3.5),
}
PICTURE = {
    "yaw": (-0.32, 0.32), "pitch": (-0.16, 0.16), "roll": (-0.16, 0.16),  # radians
    "scale": (0.41, 0.47), "shift_x": (-0.035, 0.035), "shift_y": (-0.035, 0.035),  # of the image
    "smile": (-0.05, 0.10), "mouth_open": (-0.16, 0.15), "brow_raise": (-0.03, 0.05),
    "frown": (-0.10, 0.10), "eye_open": (0.65, 1.1), "gaze_x": (-0.3, 0.3), "gaze_y": (-0.15, 0.15),
    "tan": (-0.05, 0.05), "hair_light": (0.85, 1.15), "dye": (0, 8),
    "glasses_shape": (0.55, 1), "glasses_color": (0, 1), "hat_height": (0.40, 0.62),
    "scarf_y": (0.45, 0.75), "patch_angle": (0, ROUND), "patch_size": (0.15, 0.35),
    "light_angle": (0, ROUND), "light_strength": (0, 0.45), "exposure": (0.8, 1.15),
    "gamma": (0.8, 1.25), "warmth": (-0.10, 0.10), "green": (-0.05, 0.05),
    "shadow_angle": (0, ROUND), "shadow_offset": (-0.25, 0.25), "shadow_depth": (0.45, 0.85),
    "blur": (0, 1), "noise": (0, 14), "clutter": (0, 1),
}
CHANCES = {  # what a picture has or has not: probability
    "blinks": 0.05, "lipstick": 0.10, "dyed": 0.02, "has_glasses": 0.12, "dark_glasses": 0.08,
    "has_hat": 0.04, "has_scarf": 0.02, "has_patch": 0.05, "has_shadow": 0.08, "gray": 0.015,
}
STREAMS = ("person", "picture", "marks", "colors", "background", "noise", "pairs")


def raw_words(stream, count, seed, identity, picture=0):
    """`count` random uint64 of one of the STREAMS."""
    # The first word of the counter is the generator's own: it counts the words.
    counter = [0, picture, identity, STREAMS.index(stream)]
    return np.random.Philox(key=[seed, 0], counter=counter).random_raw(count)


def uniforms(stream, count, seed, identity, picture=0):
    """`count` random float64 in [0, 1), multiples of 2^-53 and so exact."""
    return (raw_words(stream, count, seed, identity, picture) >> np.uint64(11)) * 2.0**-53


def person_traits(seed, identity):
    """The PERSON traits of one identity as attributes; widths of features as drawn."""
    person = _traits(PERSON, uniforms("person", len(PERSON), seed, identity).tolist())
    # These are drawn as shares, so that features of any size fit their head.
    person.eye_distance *= person.head_width
    person.eye_width *= person.eye_distance
    person.mouth_width *= person.head_width
    return person


def picture_traits(seed, identity, picture):
    """The PICTURE traits (floats) and CHANCES (bools) of one picture as attributes."""
    values = uniforms("picture", len(PICTURE) + len(CHANCES), seed, identity, picture).tolist()
    shot = _traits(PICTURE, values[len(CHANCES):])
    happens = zip(CHANCES.items(), values[: len(CHANCES)], strict=True)
    vars(shot).update({name: value < chance for (name, chance), value in happens})
    return shot


def _traits(table, values):
    ranges = zip(table.items(), values, strict=True)
    return SimpleNamespace(**{name: low + (high - low) * value
                              for (name, (low, high)), value in ranges})
