"""What every entry of the table promises."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from tf_facenet import backbones
from tf_facenet.backbones.folding import fold_batch_norms

# Per entry: a small image that is not square, and the smallest side.
SIZES = {"inception_resnet_v1": ((80, 96), 75), "inception_resnet_v2": ((80, 96), 75), "swin_t": ((64, 96), 32),
         "iresnet18": ((32, 48), 16), "mobilefacenet": ((32, 48), 16)}
IMAGENET = ((64, 48), 32)
SHALLOW = {"inception_resnet_v2": {"repeats": (1, 1, 1)}, "swin_t": {"depths": (2, 1, 1, 1)}}
# Other forms of iresnet18, mobilefacenet and mobilenet_v1; what they have besides is in their own tests.
OTHERS = ("iresnet34", "iresnet50", "iresnet100", "iresnet200", "mbf", "mobilenet_v2")
# Normalisations before a convolution or dropout, which cannot be folded.
UNFOLDED = {"iresnet18": 9}


def create(name, size):
    return backbones.create(name, size, 8, **SHALLOW.get(name, {}))


@pytest.fixture(scope="module", params=[name for name in backbones.BACKBONES if name not in OTHERS])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def size(name):
    return SIZES.get(name, IMAGENET)[0]


@pytest.fixture(scope="module")
def model(name, size):
    """Normalises as a trained network does: with random betas, and statistics of some images."""
    keras.utils.set_random_seed(0)
    model = create(name, size)
    random = np.random.default_rng(0)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
        layer.beta.assign(0.2 * random.standard_normal(layer.beta.shape))
    model(random.integers(0, 256, (16, *size, 3), np.uint8), training=True)
    for layer in norms:
        layer.momentum = 0.995
    return model


@pytest.fixture(scope="module")
def images(size):
    return np.random.default_rng(1).integers(0, 256, (3, *size, 3), np.uint8)


@pytest.fixture(scope="module")
def features(model, images):
    return numpy(model(images))


def test_features(model, features):
    assert features.shape == (3, 8)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert features.std(axis=0).min() > 0.01


def test_floats_give_the_same_as_bytes(model, images, features):
    np.testing.assert_array_equal(numpy(model(images.astype("float32"))), features)


def test_the_first_layer_standardises(model):
    assert model.layers[1].name == "standardize"
    assert model.layers[1].mode == "fixed"


def test_names_are_fixed(name, size, model):
    names = [layer.name for layer in model.layers]
    assert len(set(names)) == len(names)
    # Keras has numbered other layers meanwhile.
    assert names == [layer.name for layer in create(name, size).layers]


def test_saved_and_loaded(model, images, features, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(images)), features)


def test_gradient_reaches_every_weight(model, images):
    # Inference mode: in a batch's own statistics, a constant added before is without effect.
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(images, training=False)))
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.abs(gradient).max() > 0, weight.path


def test_training_mode_moves_the_statistics(model, images):
    copy = keras.models.clone_model(model)
    before = [numpy(weight) for weight in copy.non_trainable_weights]
    copy(images, training=True)
    moved = [np.any(numpy(weight) != old) for weight, old
             in zip(copy.non_trainable_weights, before, strict=True) if "moving" in weight.path]
    assert moved
    assert all(moved)


def test_half_precision_gives_whole_features(name, size, model, images, features):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = create(name, size)
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(model.get_weights())
    rough = half(images)
    assert keras.backend.standardize_dtype(rough.dtype) == "float32"
    last = [layer for layer in half.layers if isinstance(layer, keras.layers.Dense)][-1]
    assert last.input.dtype == "bfloat16"
    # Random weights amplify rounding from layer to layer, unlike trained ones.
    assert np.corrcoef(numpy(rough).ravel(), features.ravel())[0, 1] > 0.8


def test_folded(name, model, images, features):
    weights = model.get_weights()
    folded = fold_batch_norms(model)
    kinds = [type(layer).__name__ for layer in folded.layers]
    assert (kinds.count("BatchNormalization"), kinds.count("Scale")) == (UNFOLDED.get(name, 0), 0)
    np.testing.assert_allclose(
        numpy(folded(images)), features, atol=1e-4 * np.abs(features).max())
    for weight, before in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, before)


def test_smallest_image(name):
    minimum = SIZES.get(name, IMAGENET)[1]
    with pytest.raises(ValueError, match=rf"image_size is \({minimum}, {minimum - 1}\); this backbo"
                                         f"ne needs at least {minimum} pixels a side"):
        backbones.create(name, (minimum, minimum - 1), 8)
    if name != "inception_resnet_v1":  # built at its minimum in its own tests
        assert create(name, minimum).output_shape == (None, 8)
