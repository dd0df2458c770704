import keras
import numpy as np
from keras.ops import convert_to_numpy as numpy

from tf_facenet import backbones


def test_a_residual_block_begins_as_the_identity_and_learns():
    """The gamma of its last normalisation is zero at first: the sum is what came in."""
    model = backbones.create("small", 32, 8, residuals=2)
    maps = keras.Model(model.input, [model.get_layer(f"Conv_2{end}").output for end in ("a_Relu", "_0_add", "_1_add")])
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    before, first, second = (numpy(x) for x in maps(images))
    np.testing.assert_array_equal(first, before)
    np.testing.assert_array_equal(second, before)
    model.get_layer("Conv_2_0b_BatchNorm").gamma.assign(np.ones(48))
    assert np.abs(numpy(maps(images)[1]) - before).max() > 0.1


def test_a_stage_has_one_convolution_and_two_for_each_block():
    convolutions = [sum(isinstance(layer, keras.layers.Conv2D) for layer in backbones.create(
        "small", 32, 8, residuals=count).layers) for count in range(3)]
    assert convolutions == [1 + 3 * 2, 1 + 3 * 3, 1 + 3 * 5]


def test_the_embedding_sees_the_maps_of_the_last_stages():
    """Of 32 x 32 pixels a stage makes 8 x 8 x 48, 4 x 4 x 96, 2 x 2 x 192 numbers."""
    sizes = [8 * 8 * 48, 4 * 4 * 96, 2 * 2 * 192]
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    for scales in (1, 2, 3):
        model = backbones.create("small", 32, 8, scales=scales)
        kernel = model.get_layer("Bottleneck").kernel
        assert kernel.shape == (sum(sizes[-scales:]), 8)
        before = numpy(model(images))
        kernel.assign(np.r_[np.zeros((sizes[-scales], 8)), numpy(kernel)[sizes[-scales]:]])
        assert np.abs(numpy(model(images)) - before).max() > 1e-3, "the first of these stages plays no part"
