"""Training with maps that are computed twice, beside training that keeps them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.ops import convert_to_numpy as numpy

from tf_facenet import backbones
from tf_facenet.kernels import fuse
from tf_facenet.training.recompute import _branch_points, recompute_blocks

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 6, 3), np.uint8)
BLOCKS = 2


def network(synchronized=False, dtype=None):
    """Blocks of all that a backbone's have: convolution, normalisation, PReLU, dropout of maps and of images."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((8, 6, 3))
    x = layers.Rescaling(1 / 128, -1, dtype=dtype)(inputs)
    x = layers.Conv2D(4, 3, padding="same", name="stem", dtype=dtype)(x)
    for index in range(BLOCKS):
        norm = layers.BatchNormalization(momentum=0.8, name=f"bn{index}", synchronized=synchronized, dtype=dtype)
        y = layers.PReLU(shared_axes=[1, 2], dtype=dtype)(norm(x))
        y = layers.Dropout(0.3, dtype=dtype)(layers.Conv2D(4, 3, padding="same", name=f"conv{index}", dtype=dtype)(y))
        y = layers.Dropout(0.5, noise_shape=(None, 1, 1, 1), dtype=dtype)(y)
        x = layers.Add(name=f"add{index}", dtype=dtype)([x, y])
    x = layers.BatchNormalization(name="flat_bn", dtype=dtype)(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(5, dtype="float32")(layers.Dropout(0.2)(x)))


def pair(**options):
    """The same network as it is, and with `recompute_blocks`."""
    models = network(**options), network(**options)
    for model in models:
        fuse(model)
    recompute_blocks(models[1])
    return models


def gradients(model, pixels=PIXELS):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(pixels, training=True) - 0.3))
    return loss, tape.gradient(loss, [weight.value for weight in model.trainable_weights])


def steps(model, strategy=None, count=2):
    """Loss, gradients, and all variables after a few steps, those of seeds too."""
    strategy = strategy or tf.distribute.get_strategy()

    @tf.function
    def step(pixels):
        loss, values = strategy.run(gradients, args=(model, pixels))
        return [strategy.reduce("SUM", value, axis=None) for value in (loss, *values)]

    for _ in range(count):
        values = step(PIXELS)
    return [numpy(value) for value in (*values, *model.variables)]


def assert_same(kept, computed, tolerance=1e-6):
    for expected, value in zip(kept, computed, strict=True):
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))


def test_losses_gradients_statistics_and_masks_are_the_same():
    plain, twice = pair()
    kept, computed = steps(plain), steps(twice)
    assert_same(kept, computed)
    start = [numpy(value) for value in network().variables]
    moved = [np.any(before != now) for before, now in zip(start, computed[-len(start):], strict=True)]
    names = [variable.path for variable in twice.variables]
    assert {name for name, did in zip(names, moved, strict=True) if did} == {
        name for name in names if "moving" in name or "seed" in name}


def test_two_replicas_with_synchronised_statistics(two_devices):
    with two_devices.scope():
        plain, twice = pair(synchronized=True)
    assert_same(steps(plain, two_devices), steps(twice, two_devices))


def test_half_precision():
    plain, twice = pair(dtype="mixed_bfloat16")
    assert_same(steps(plain), steps(twice), tolerance=0.02)


def test_frozen_layers_stay():
    models = pair()
    for model in models:
        model.get_layer("bn1").trainable = model.get_layer("conv0").trainable = False
    assert_same(*map(steps, models))
    kernels = [numpy(model.get_layer("conv0").kernel) for model in (models[1], network())]
    np.testing.assert_array_equal(*kernels)


def test_outside_of_a_function():
    (loss, values), (again, others) = map(gradients, pair())
    assert_same([loss, *values], [again, *others])


def test_blocks_are_computed_twice_and_the_second_time_later():
    _, twice = pair()
    graph = tf.function(lambda: gradients(twice)).get_concrete_function().graph
    convolutions = [operation for operation in graph.get_operations() if operation.type == "Conv2D"]
    assert len(convolutions) == 2 * BLOCKS + 1  # the stem before all, the last block, and the others and it again
    first, second = convolutions[:BLOCKS + 1], convolutions[BLOCKS + 1:]
    assert not any(behind_a_gradient(operation) for operation in first)
    assert all(behind_a_gradient(operation) for operation in second)


def behind_a_gradient(operation):
    """Whether the operation waits for the number that only a gradient gives."""
    return operation.type == "IsNan" or any(behind_a_gradient(tensor.op) for tensor in operation.inputs)


def test_the_file_is_that_of_the_plain_network(tmp_path):
    plain, twice = pair()
    twice.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert "call" not in vars(loaded)
    assert [weight.path for weight in loaded.weights] == [weight.path for weight in twice.weights]
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in twice.layers]
    for model in (twice, loaded, keras.models.clone_model(twice)):
        model.set_weights(plain.get_weights())
        np.testing.assert_allclose(numpy(model(PIXELS)), numpy(plain(PIXELS)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "size", "count"), [
    ("iresnet18", 16, 8), ("mobilefacenet", 32, 12), ("inception_resnet_v1", 80, 23), ("swin_t", 32, 24)])
def test_where_the_blocks_of_a_backbone_begin(name, size, count):
    assert len(_branch_points(backbones.create(name, size, 4))) == count


def test_a_network_without_blocks_is_named():
    with pytest.raises(ValueError, match="The network 'small' has no residual blocks, .*; leave out --remat, or"):
        recompute_blocks(backbones.create("small", 32, 4))
