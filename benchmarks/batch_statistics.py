"""Which statistics batch normalisation uses after few steps: of a constant momentum, of a growing one, computed anew.

    PYTHONPATH=. python benchmarks/batch_statistics.py lfw_112 --network mobilenet_v1 --image_size 96

One training of the people with at least twenty images, a fifth of them held out. A training batch normalises itself,
so that all three see the same weights. Rows: cross-entropy and accuracy on the held-out images.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from tf_facenet import backbones, data, heads
from tf_facenet.data.augment import Augmentation
from tf_facenet.data.batches import training_batches
from tf_facenet.data.in_order import evaluation_batches
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import averages, distribution, optimizers
from tf_facenet.training.callbacks import averaged
from tf_facenet.training.loop import Loop, Stop
from tf_facenet.training.trainer import FaceTrainer

EMBEDDING = 128
ANEW = 5  # batches of 100 images that statistics are computed anew from; 50 gained no more


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces")
    parser.add_argument("--network", default="small")
    parser.add_argument("--image_size", type=int, default=96)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--steps", type=int, nargs="+", default=[300, 1000, 4000])
    parser.add_argument("--learning_rate", type=float, default=0.05)
    parser.add_argument("--moving_average_decay", type=float, default=0.9999)
    options = parser.parse_args()
    keras.utils.set_random_seed(1)
    faces, held_out = data.load(options.faces).with_min_images(20).split_images(0.2, 0, 1)
    backbone = backbones.create(options.network, options.image_size, EMBEDDING)
    trainer = FaceTrainer(backbone, heads.create("softmax", faces.num_classes, EMBEDDING), weight_decay=5e-4)
    distribution.prepare(trainer, tf.distribute.get_strategy(), options.batch_size)
    growing = [Growing(layer) for layer in batch_norms(backbone)]
    optimizer = optimizers.create(SoftmaxOptions(optimizer="MOM", clip_norm=5.0), options.learning_rate)
    average = averages.WeightAverage(trainer.averaged_variables, options.moving_average_decay)
    loop = Loop(trainer, optimizer, tf.distribute.get_strategy(), average)
    for one in growing:
        one.step = optimizer.iterations
    hooks = Hooks(loop, growing, faces, held_out, options)
    print(f"{options.network}, {len(faces)} images of {faces.num_classes} people, {len(held_out)} held out", flush=True)
    print(f"{'step':>6} {'weights':9} {'statistics':14} {'xent':>8} {'accuracy':>9}", flush=True)
    batches = training_batches(faces, options.batch_size, options.image_size, Augmentation(random_flip=True), 1)
    with Stop() as stop:
        loop.run(batches, options.steps[-1], hooks, stop)


def batch_norms(backbone):
    """Its layers of batch normalisation."""
    return [layer for layer in backbone._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


class Growing:
    """Follows a layer's batches with momentum min(m, (1+t)/(10+t)), beside the layer's own constant one."""

    def __init__(self, layer):
        self.layer, self.step, self._call = layer, None, layer.call
        self.own = [layer.moving_mean, layer.moving_variance]
        self.shadows = [tf.Variable(moving.value, trainable=False) for moving in self.own]
        layer.call = self

    def __call__(self, inputs, training=None, **more):
        """What the layer gives; its batch is followed."""
        before = [tf.identity(moving.value) for moving in self.own]
        with tf.control_dependencies(before):
            outputs = self._call(inputs, training=training, **more)
        if training and self.step is not None:
            step, constant = tf.cast(self.step.value, tf.float32), self.layer.momentum
            momentum = tf.minimum(constant, (1 + step) / (10 + step))
            for old, moving, shadow in zip(before, self.own, self.shadows, strict=True):
                batch = (moving.value - constant * old) / (1 - constant)
                shadow.assign(shadow * momentum + batch * (1 - momentum))
        return outputs


class Hooks:
    """Evaluates after some steps."""

    def __init__(self, loop, growing, faces, held_out, options):
        self.loop, self.growing, self.faces, self.held_out, self.options = loop, growing, faces, held_out, options
        trainer = loop.trainer
        self._terms = tf.function(lambda images, labels: trainer.terms(trainer(images), labels), autograph=False)
        self._follow = tf.function(lambda images: trainer(images, training=True), autograph=False)

    def due(self, step):
        """Whether there are rows of this step."""
        return step in self.options.steps

    def after(self, steps):
        """Print the rows of the last of these steps."""
        step, terms = steps[-1]
        print(f"{step:6d} training loss {terms['xent']:.3f} {terms['accuracy']:.3f}", flush=True)
        for weights, average in (("raw", None), ("averaged", self.loop.average)):
            with averaged(average):
                self._rows(step, weights)

    def _rows(self, step, weights):
        own = [[numpy(moving) for moving in one.own] for one in self.growing]
        self._row(step, weights, "constant")
        self._assign([[shadow.numpy() for shadow in one.shadows] for one in self.growing])
        self._row(step, weights, "growing")
        self._anew(own)
        self._row(step, weights, "computed anew")
        self._assign(own)

    def _anew(self, own):
        """Mean statistics of some training batches: what is left of a momentum's zeros is taken out."""
        shadows = [[shadow.numpy() for shadow in one.shadows] for one in self.growing]
        momenta, sums = [one.layer.momentum for one in self.growing], None
        self._assign([[np.zeros_like(value) for value in values] for values in own])
        batches = training_batches(self.faces, 100, self.options.image_size, Augmentation(random_flip=True), 2)
        for _, (images, _) in zip(range(ANEW), batches, strict=False):
            self._follow(images)
        sums = [[numpy(moving) / (1 - momentum**ANEW) for moving in one.own]
                for one, momentum in zip(self.growing, momenta, strict=True)]
        self._assign(sums)
        for one, values in zip(self.growing, shadows, strict=True):
            for shadow, value in zip(one.shadows, values, strict=True):
                shadow.assign(value)

    def _assign(self, statistics):
        for one, values in zip(self.growing, statistics, strict=True):
            for moving, value in zip(one.own, values, strict=True):
                moving.assign(value)

    def _row(self, step, weights, statistics):
        sums, begin = np.zeros(2), 0
        for images in evaluation_batches(self.held_out.samples, 100, self.options.image_size):
            labels = self.held_out.labels[begin:begin + len(images)]
            terms = self._terms(images, tf.constant(labels, tf.int32))
            sums += np.array([float(terms["xent"]), float(terms["accuracy"])]) * len(labels)
            begin += len(labels)
        xent, accuracy = sums / begin
        print(f"{step:6d} {weights:9} {statistics:14} {xent:8.3f} {accuracy:9.3f}", flush=True)


if __name__ == "__main__":
    main()
