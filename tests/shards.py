"""A small training whose classes may be spread over devices, or over processes."""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from tests.loops import Recorder
from tf_facenet import heads
from tf_facenet.data.batches import untuned
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import averages, distribution, optimizers, sharding
from tf_facenet.training.checkpoints import Checkpoints, take_part
from tf_facenet.training.loop import Loop, Stop
from tf_facenet.training.precision import LossScale
from tf_facenet.training.trainer import FaceTrainer

CLASSES, WIDTH, BATCH, STEPS = 13, 6, 8, 5


def rows(count):
    return np.random.default_rng(3).standard_normal((count, WIDTH)).astype("float32")


def batch(classes=CLASSES, seed=0):
    rng = np.random.default_rng(seed)
    features = 3 * rng.standard_normal((BATCH, WIDTH)).astype("float32")
    return features, rng.integers(0, classes, BATCH).astype("int32")


def create(strategy, name="arcface", classes=CLASSES, **options):
    """A spread head, and the whole one with the same centres."""
    whole = heads.create(name, classes, WIDTH, scale=16.0, **options)
    with strategy.scope():
        head = sharding.ShardedHead(heads.make(name, classes, scale=16.0, **options), strategy)
        head.build((None, WIDTH))
    for each in (whole, head):
        each.fill(rows(classes * whole.sub_centers))
    return head, whole


def make_loop(strategy, optimizer="MOM", classes=CLASSES, accumulate=1, average=False, loss_scale=None,
              **options):
    """A loop on features instead of images; its head is spread if the strategy has several replicas."""
    keras.utils.set_random_seed(1)
    options = SoftmaxOptions(head="arcface", scale=16.0, embedding_size=WIDTH, optimizer=optimizer, clip_norm=0.5,
                             shard_classes=True, **options)
    with strategy.scope():
        inputs = keras.Input((WIDTH,))
        backbone = keras.Model(inputs, keras.layers.Dense(WIDTH, name="dense")(inputs))
        head = sharding.create_head(options, classes, strategy)
        head.fill(rows(classes * options.sub_centers))
        trainer = FaceTrainer(backbone, head, weight_decay=1e-2)
        followed = averages.WeightAverage(trainer.averaged_variables, 0.9) if average else None
        scale = LossScale(loss_scale) if loss_scale else None
        made = optimizers.create(options, 0.05)
    distribution.prepare(trainer, strategy, BATCH)
    return Loop(trainer, made, strategy, followed, accumulate, loss_scale=scale)


def run(loop, last_step=STEPS):
    """Terms of the steps that it does."""
    classes, index, count = loop.trainer.head.num_classes, *loop.workers.part
    own = slice(index * BATCH // count, (index + 1) * BATCH // count)
    batches = [[array[own] for array in batch(classes, seed)] for seed in range(STEPS)]
    data = untuned(tf.data.Dataset.from_tensor_slices(tuple(map(np.stack, zip(*batches, strict=True)))))
    hooks = Recorder()
    with Stop() as stop:
        loop.run(data.skip(loop.step).repeat(), last_step, hooks, stop)
    return [terms for group in hooks.calls for _, terms in group]


def arrays(loop):
    """What decides its next step, as arrays by role."""
    return {role: [*map(keras.ops.convert_to_numpy, variables)] for role, variables in loop.state().items()}


def go_on(loop, folder, last_step):
    """Restore, run and save; the losses."""
    checkpoints = Checkpoints(folder)
    if checkpoints.paths():
        loop.step = checkpoints.restore(loop.state())["step"]
    losses = [terms["loss"] for terms in run(loop, last_step)]
    if loop.workers.is_chief:
        checkpoints.save(loop.state(), loop.step)
    else:
        take_part(loop.state())
    loop.workers.exchange()
    return losses


def main(folder, last_step, devices, addresses="", index=None):
    """Go on from the checkpoint in a folder on so many devices, or as that worker, save there and print the losses."""
    place = {"workers": addresses, "worker_index": index} if addresses else {"strategy": "mirrored"}
    strategy = distribution.strategy(SoftmaxOptions(num_devices=devices, batch_size=BATCH, **place))
    loop = make_loop(strategy, average=True, sub_centers=2)
    sys.stdout.write(json.dumps(go_on(loop, folder, last_step)) + "\n")
