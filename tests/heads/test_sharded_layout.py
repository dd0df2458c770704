"""JAX spreads the classes of a head by a layout of its centres alone: nothing in the head knows."""

import json

import keras
import pytest

from tests import process

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="for JAX")
SCRIPT = """
import json
import jax
import keras
import numpy as np

from tf_facenet import heads

CLASSES, WIDTH, BATCH, DEVICES = 16, 8, 12, 4


def losses():
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((3 * BATCH, WIDTH)).astype("float32"), rng.integers(0, CLASSES, 3 * BATCH)
    inputs = keras.Input((WIDTH,))
    head = heads.create("curricularface", CLASSES, WIDTH, scale=16.0, sub_centers=2)

    class Trainer(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.head = keras.layers.Dense(WIDTH), head
            self.dense.build((None, WIDTH))
            self.built = True

        def call(self, inputs):
            return self.dense(inputs)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return self.head.cross_entropy(y_pred, y, training)[0]

    class Losses(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            values.append(float(logs["loss"]))

    values, trainer = [], Trainer()
    trainer.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    trainer.fit(features, labels, batch_size=BATCH, epochs=2, shuffle=False, verbose=0, callbacks=[Losses()])
    held = [sorted({tuple(shard.data.shape) for shard in variable.value.addressable_shards})
            for variable in (head.centers, *trainer.optimizer.variables) if "centers" in variable.path]
    return values, held


one, _ = losses()
mesh = keras.distribution.DeviceMesh((1, DEVICES), ("batch", "model"), keras.distribution.list_devices())
layout = keras.distribution.LayoutMap(mesh)
layout[".*centers.*"] = ("model", None)
keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"))
spread, held = losses()
print(json.dumps({"devices": jax.device_count(), "one": one, "spread": spread, "held": held}))
"""


def test_four_devices_hold_a_quarter_each_and_learn_as_one(monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    result = process.python("-c", SCRIPT)
    assert result.returncode == 0, result.stderr
    values = json.loads(result.stdout.splitlines()[-1])
    assert values["devices"] == 4
    assert len(values["one"]) == 6
    assert values["spread"] == pytest.approx(values["one"], rel=1e-6)
    assert values["held"] == [[[8, 8]]] * 2  # centres and momentum: 32 rows on four devices
