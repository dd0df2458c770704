"""Optimizers against TensorFlow 1.7: L = ½ Σ a w², a = (1, 10), w0 = (1, −2).

Five steps at rate 0.05, then five at 0.005.
"""

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import averages, optimizers

CURVATURE = np.array([1.0, 10.0], "float32")
STEPS = (1, 5, 6, 10)
TF1 = {
    "ADAGRAD": [(.952327, -1.950006), (.847469, -1.840847), (.845596, -1.838879),
                (.839143, -1.832171)],
    "ADADELTA": [(.999842, -1.999842), (.999179, -1.999178), (.999161, -1.999161),
                 (.999092, -1.999092)],
    "ADAM": [(.987987, -1.956826), (.915757, -1.773918), (.913636, -1.769276),
             (.904423, -1.750612)],
    "RMSPROP": [(.964645, -1.845513), (.570762, -.593323), (.455847, -.270232),
                (.088108, .727999)],
    "MOM": [(.905, -.1), (.315942, .022274), (.300836, .003847), (.241790, -.041714)],
}
KERAS = {
    "RMSPROP": [(.952327, -1.843826), (.458561, -.583954), (.320091, -.259472),
                (-.116345, .742435)],
    "MOM": [(.905, -.1), (.315942, .022274), (.191890, -.142950), (-.191140, -.480481)],
}


def descend(optimizer, average_decay=0.0):
    weights = keras.Variable(np.array([1.0, -2.0], "float32"))
    optimizer.build([weights])
    average = averages.WeightAverage([weights], average_decay)
    path = []
    for step in range(10):
        average.update(step)
        optimizer.apply([CURVATURE * numpy(weights)], [weights])
        path.append(numpy(weights))
    return [path[step - 1] for step in STEPS], numpy(average.averages[0])


def create(name, tf1):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([4], [0.05, 0.005])
    return optimizers.create(SoftmaxOptions(optimizer=name, tf1_optimizers=tf1), schedule)


@pytest.mark.parametrize("name", sorted(TF1))
def test_tf1_arithmetic(name):
    path, _ = descend(create(name, tf1=True))
    np.testing.assert_allclose(path, TF1[name], atol=2e-6)


@pytest.mark.parametrize("name", sorted(TF1))
def test_keras_arithmetic(name):
    path, _ = descend(create(name, tf1=False))
    np.testing.assert_allclose(path, KERAS.get(name, TF1[name]), atol=2e-6)


@pytest.mark.parametrize(("name", "expected"), [
    ("ADAGRAD", (.842927, -1.836102)), ("RMSPROP", (.261709, .262079)),
    ("MOM", (.275636, -.012710))])
def test_average_of_facenet(name, expected):
    _, average = descend(create(name, tf1=True), average_decay=0.9)
    np.testing.assert_allclose(average, expected, atol=2e-6)


def test_clip_norm_limits_the_whole_gradient():
    optimizer = optimizers.create(SoftmaxOptions(optimizer="ADAM", clip_norm=5.0), 0.1)
    assert optimizer.global_clipnorm == 5.0
