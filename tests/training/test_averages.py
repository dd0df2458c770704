"""Averaged weights; their numbers beside TensorFlow 1's are in test_optimizers.py, spread ones in test_sharding.py."""

import keras
import numpy as np
from keras.ops import convert_to_numpy as numpy

from tf_facenet.training import averages


def test_swap_exchanges_and_restores():
    weights = keras.Variable(np.zeros(2, "float32"))
    average = averages.WeightAverage([weights], 0.5)
    weights.assign(np.ones(2, "float32"))
    average.update(1000)
    average.swap()
    np.testing.assert_allclose(numpy(weights), 0.5)
    average.swap()
    np.testing.assert_allclose(numpy(weights), 1.0)
    np.testing.assert_allclose(numpy(average.averages[0]), 0.5)
