"""Against facenet on TensorFlow 1.7, with weights drawn by rule."""

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tests import facenet_weights
from tf_facenet import backbones

IMAGES = np.random.RandomState(0).uniform(-1, 1, (2, 160, 160, 3)).astype("float32")


def test_features_and_parameters_are_those_of_facenet():
    model = backbones.create("models.inception_resnet_v2", 160, 128, standardization="none")
    assert (len(model.weights), model.count_params()) == (900, 54_533_728)
    facenet_weights.fill(model, "InceptionResnetV2")
    features = numpy(model(IMAGES))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(features[0, :4], [-14.472478, 20.267372, -19.302597, -10.660780], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), [173.940933, 171.709793], rtol=1e-5)
    np.testing.assert_allclose(unit[0, :4], [-.08320341, .11651871, -.11097214, -.06128966], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(unit[0] - unit[1]), .02594824, rtol=1e-4)
    kernels = [numpy(weight) for weight in model.trainable_weights if weight.name == "kernel"]
    decay = 5e-4 / 2 * sum(np.square(kernel, dtype="float64").sum() for kernel in kernels)
    np.testing.assert_allclose(decay, 38.066322, rtol=1e-5)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert {(x.momentum, x.epsilon, x.center, x.scale) for x in norms} == {(0.995, 1e-3, True, False)}
    scales = [x.factor for x in model.layers if x.name.endswith("_Scale")]
    assert scales == [.17] * 10 + [.1] * 20 + [.2] * 9 + [1.0]
    assert model.get_layer("Mixed_5b").output.shape == (None, 17, 17, 320)
    assert model.get_layer("Mixed_6a").output.shape == (None, 8, 8, 1088)
    assert model.get_layer("Block8_add").output.shape == (None, 3, 3, 2080)


@pytest.mark.parametrize("repeats", [(1, 1), (1, 1, 1.0), 3, "1,1,1"])
def test_wrong_repeats(repeats):
    with pytest.raises(ValueError, match=r"repeats is .*; expected three numbers of blocks, such as \(10, 20, 9\)"):
        backbones.create("inception_resnet_v2", 80, 8, repeats=repeats)
