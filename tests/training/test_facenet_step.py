"""Whole training steps against facenet on TensorFlow 1.7: Inception-ResNet-v1, D = 128.

Train mode, weight decay 5e-4, center loss 1e-2, prelogits norm 5e-4. The network is built once;
the weights of each case are filled in anew.

Eight images are few for batch normalisation: after one step the cross-entropy of the optimizers
without a large epsilon differs by 2 % between single and double precision here, so that only ADAM
can be compared closely from then on.
"""

import numpy as np
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from tests import facenet_weights
from tf_facenet import backbones, heads, losses
from tf_facenet.data.batches import untuned
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import optimizers
from tf_facenet.training.loop import Loop, Stop
from tf_facenet.training.trainer import FaceTrainer

LABELS = np.array([0, 1, 2, 3, 0, 1, 2, 9], "int32")
STEPS = {  # (optimizer, rate, tolerance): (total, cross-entropy) of steps 1 and 2
    ("ADAM", 0.005, 1e-4): [(17.784794, 0.010293), (17.779568, 0.005903)],
    ("MOM", 0.01, 2e-2): [(18.231871, 0.454302), (17.882410, 0.102600)],
    ("RMSPROP", 0.01, 2e-2): [(17.791803, 0.016599), (17.843746, 0.068260)],
    ("ADAGRAD", 0.05, 2e-2): [(20.376110, 2.502365), (19.423954, 1.416538)],
}


class Recorder:
    """Hooks that keep the terms and the centres of class 0 after each step."""

    def __init__(self, trainer):
        self.trainer, self.terms, self.centers = trainer, [], []

    def due(self, step):
        return True

    def after(self, steps):
        self.terms.append(steps[0][1])
        self.centers.append(numpy(self.trainer.center_loss.centers)[0, :3])


@pytest.fixture(scope="module")
def trainer():
    return FaceTrainer(
        backbones.create("inception_resnet_v1", 160, 128, standardization="none"),
        heads.create("softmax", 10, 128), losses.CenterLoss(10, 128, alfa=0.95),
        center_loss_factor=1e-2, weight_decay=5e-4, prelogits_norm_loss_factor=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "rate", "tolerance"), sorted(STEPS))
def test_three_steps(trainer, optimizer, rate, tolerance):
    facenet_weights.fill(trainer.backbone)
    trainer.head.set_weights([facenet_weights.draw("Logits/weights", (128, 10)),
                              facenet_weights.draw("Logits/biases", (10,))])
    trainer.center_loss.centers.assign(np.zeros((10, 128)))
    images = np.random.RandomState(1).uniform(-1, 1, (8, 160, 160, 3)).astype("float32")
    batches = untuned(tf.data.Dataset.from_tensors((images, LABELS)).repeat())
    made = optimizers.create(SoftmaxOptions(optimizer=optimizer, tf1_optimizers=True), rate)
    loop, hooks = Loop(trainer, made, tf.distribute.get_strategy()), Recorder(trainer)
    with Stop() as stop:
        loop.run(batches, 3, hooks, stop)

    first, *later = hooks.terms
    expected = {"loss": 21.185513, "xent": 3.411164, "reg_loss": 17.774349,
                "center_loss": 1.005429, "prelogits_norm": 105.842545}
    assert {name: first[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(hooks.centers[0], [-.094315, .104739, -.109167], atol=1e-4)
    for terms, (total, xent) in zip(later, STEPS[optimizer, rate, tolerance], strict=True):
        assert terms["loss"] == pytest.approx(total, rel=tolerance)
        assert terms["xent"] == pytest.approx(xent, abs=tolerance * total)
