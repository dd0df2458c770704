"""People who are nothing but colours, and a model that sees nothing else: what commands say of them is known."""

import keras
import numpy as np

from tests.pictures import encode
from tf_facenet.inference.model_file import save_model

COLORS = {"Red": (250, 60, 60), "Green": (60, 250, 60), "Blue": (60, 60, 250), "Yellow": (250, 250, 60)}
SIZE = 16


def write_model(path, **metadata):
    """A model file whose features are the mean colour, from -1 to 1."""
    pixels = keras.Input((SIZE, SIZE, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 128, offset=-127.5 / 128, name="standardize")(pixels)
    save_model(keras.Model(pixels, keras.layers.GlobalAveragePooling2D(name="mean")(x)), path, metadata)
    return str(path)


def picture(name, number):
    """PNG file of a person, a little different for each number."""
    noise = np.random.default_rng(number).normal(0, 12, (SIZE, SIZE, 3)) + np.random.default_rng(number).normal(0, 8, 3)
    return encode(np.clip(COLORS[name] + noise, 0, 255).astype(np.uint8))


def write_people(folder, names=tuple(COLORS), count=6):
    """`<folder>/<name>/<name>_0001.png` …"""
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(1, count + 1):
            (folder / name / f"{name}_{number:04d}.png").write_bytes(picture(name, number))
    return str(folder)
