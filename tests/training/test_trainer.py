"""The terms of the training loss, by hand; and Keras' own fit."""

import keras
import numpy as np
import pytest

from tests import tiny
from tf_facenet import heads, losses
from tf_facenet.training.trainer import FaceTrainer


def test_fit_of_keras_trains_it():
    keras.utils.set_random_seed(0)
    trainer = FaceTrainer(tiny.create(8, 4), heads.create("softmax", 3, 4))
    trainer.compile(optimizer="adam")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 48)
    images = rng.uniform(0, 255, (48, 8, 8, 3)) * (1 + labels[:, None, None, None]) / 3
    history = trainer.fit(images, labels, batch_size=16, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert trainer(images[:2]).shape == (2, 4)


def test_terms_by_hand():
    trainer = FaceTrainer(tiny.create(8, 2), heads.create("softmax", 2, 2),
                          losses.CenterLoss(2, 2), center_loss_factor=0.5, weight_decay=0.1,
                          prelogits_norm_loss_factor=0.25, prelogits_norm_p=1.0)
    trainer.head.set_weights([np.eye(2), np.zeros(2)])
    features, labels = np.array([[2.0, 0.0], [0.0, 1.0]], "float32"), np.array([0, 0])
    terms = {name: float(value) for name, value in trainer.terms(features, labels).items()}
    xent = np.mean([np.log(1 + np.exp(-2)), np.log(1 + np.exp(1))])
    kernels = [np.sum(np.square(v)) for v in (
        keras.ops.convert_to_numpy(v) for v in trainer.trainable_variables if v.name == "kernel")]
    reg_loss = 0.5 * 5 / 4 + 0.25 * (1.5 + 2e-4) + 0.1 * 0.5 * sum(kernels)
    assert terms["xent"] == pytest.approx(xent, rel=1e-5)
    assert terms["center_loss"] == pytest.approx(5 / 4)
    assert terms["prelogits_norm"] == pytest.approx(1.5 + 2e-4)
    assert terms["reg_loss"] == pytest.approx(reg_loss, rel=1e-5)
    assert terms["loss"] == pytest.approx(xent + reg_loss, rel=1e-5)
    assert terms["accuracy"] == 0.5
