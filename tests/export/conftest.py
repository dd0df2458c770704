"""A network with trained-looking statistics, and pairs that prove an export of it quickly."""

import functools

import keras
import numpy as np
import pytest

from tests import tiny
from tf_facenet.data import drawn
from tf_facenet.export import writing


@pytest.fixture(scope="session")
def pairs():
    return drawn.draw_pairs(people=8, images=3, size=32, num_folds=2, pairs_per_fold=8)


@pytest.fixture(scope="session")
def export(pairs):
    """`writing.export` on the few pairs."""
    return functools.partial(writing.export, pairs=pairs)


@pytest.fixture(scope="package")
def model():
    keras.utils.set_random_seed(3)
    model = tiny.create((20, 16), 5, keep_probability=0.5)
    model.get_layer("bn2").moving_variance.assign(np.linspace(0.5, 2, 16))
    return model


@pytest.fixture(scope="package")
def pixels():
    return np.random.default_rng(2).integers(0, 256, (7, 20, 16, 3), np.uint8)
