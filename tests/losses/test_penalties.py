import keras
import numpy as np
import pytest

from tf_facenet.losses import kernel_decay, prelogits_norm


@pytest.mark.parametrize(("p", "expected"), [(1.0, 3.0004), (2.0, 1.58948076)])
def test_prelogits_norm_of_facenet(p, expected):
    features = np.arange(-6, 6, dtype="float32").reshape(3, 4) * 0.25
    assert float(prelogits_norm(features, p)) == pytest.approx(expected, rel=1e-6)


def test_decay_is_half_the_squared_kernels_only():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3),
                              keras.layers.DepthwiseConv2D(3), keras.layers.BatchNormalization(),
                              keras.layers.SeparableConv2D(6, 1),
                              keras.layers.Flatten(), keras.layers.Dense(5)])
    for variable in model.variables:
        variable.assign(np.full(variable.shape, 2.0))
    kernels = 3 * 3 * 3 * 4 + 3 * 3 * 4 + (4 + 4 * 6) + 4 * 4 * 6 * 5
    assert float(kernel_decay(model.variables)) == pytest.approx(0.5 * 4 * kernels)
