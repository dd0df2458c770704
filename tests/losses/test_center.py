"""Center loss against facenet's recorded traces and a loop that does the same by hand."""

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tests.gradients import value_and_grad
from tf_facenet.losses import CenterLoss

FEATURES = np.arange(12, dtype="float32").reshape(4, 3) * 0.1
LABELS = np.array([0, 2, 2, 1])


def test_three_batches_of_facenet():
    loss = CenterLoss(num_classes=3, embedding_size=3, alfa=0.95)
    losses, centers = [], []
    for _ in range(3):
        losses.append(float(loss(FEATURES, LABELS, training=True)))
        centers.append(numpy(loss.centers))
    np.testing.assert_allclose(losses, [0.42166665, 0.36735210, 0.32105002], rtol=1e-6)
    np.testing.assert_allclose(
        centers[0], [[0, .005, .01], [.045, .05, .055], [.045, .055, .065]], atol=1e-7)
    np.testing.assert_allclose(
        centers[2], [[0, .0142625, .028525], [.1283625, .142625, .1568875],
                     [.12195, .14905, .17615]], atol=1e-7)


def test_centers_are_found():
    """facenet's own test: features are their centres, sixteen of them on a grid."""
    true_centers = np.array([[x, y] for x in (-3, -1, 1, 3) for y in (-3, -1, 1, 3)], "float32")
    loss = CenterLoss(num_classes=16, embedding_size=2, alfa=0.5)
    np.random.seed(666)
    losses = []
    for _ in range(100):
        labels = np.random.randint(0, 16, 16)
        losses.append(float(loss(true_centers[labels], labels, training=True)))
    np.testing.assert_allclose(losses[:4], [5.75, 2.96875, 0.78125, 0.5234375])
    np.testing.assert_allclose(numpy(loss.centers), true_centers, atol=1e-5)
    assert losses[-1] == pytest.approx(0, abs=1e-5)


def test_five_batches_recorded(shared):
    data = np.load(shared / "reference" / "facenet.npz")
    loss = CenterLoss(*data["center/centers_0"].shape, alfa=float(data["center/alfa"]))
    for step in range(5):
        features, labels = data[f"center/features_{step}"], data[f"center/labels_{step}"]
        value, (gradient,) = value_and_grad(lambda f, labels=labels: loss(f, labels), features)
        assert value == pytest.approx(float(data[f"center/loss_{step}"]), rel=1e-6)
        np.testing.assert_allclose(gradient, data[f"center/grad_features_{step}"], rtol=1e-5, atol=1e-8)
        loss(features, labels, training=True)
        np.testing.assert_allclose(numpy(loss.centers), data[f"center/centers_{step}"], atol=1e-6)


def test_repeated_labels_accumulate_and_inference_leaves_the_centers():
    loss = CenterLoss(num_classes=2, embedding_size=1, alfa=0.9)
    features, labels = np.array([[1.0], [1.0], [4.0]], "float32"), np.array([0, 0, 1])
    loss(features, labels, training=False)
    np.testing.assert_array_equal(numpy(loss.centers), [[0], [0]])
    loss(features, labels, training=True)
    np.testing.assert_allclose(numpy(loss.centers), [[0.2], [0.4]], rtol=1e-6)


def test_gradient_pulls_features_and_leaves_centers():
    loss = CenterLoss(num_classes=3, embedding_size=3)
    _, (gradient,) = value_and_grad(lambda features: loss(features, LABELS), FEATURES)
    np.testing.assert_allclose(gradient, 2 * FEATURES / FEATURES.size, rtol=1e-6)
    assert loss.trainable_variables == []


def test_config_round_trip():
    loss = CenterLoss(5, 4, alfa=0.5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert (copy.num_classes, copy.embedding_size, copy.alfa) == (5, 4, 0.5)
