"""Losses and gradients of tensorflow-addons on given batches.

    ORACLE_PYTHON tests/oracle/tfa_losses.py batches.npz losses.npz

Run by an interpreter that has tensorflow-addons 0.23 (TensorFlow 2.15, Python ≤ 3.11), which the
package itself does not need: nothing of tf_facenet is imported here.

batches.npz: ``CASE/labels`` [B], ``CASE/embeddings`` [B, D], ``CASE/margin``. losses.npz: for each
distance and name ``CASE/DISTANCE/NAME/loss`` and ``…/grad`` [B, D], and ``versions``.
"""

import sys
import warnings

warnings.filterwarnings("ignore")  # tensorflow-addons announces its end at import

import numpy as np  # noqa: E402  (after the filter)
import tensorflow as tf  # noqa: E402
import tensorflow_addons as tfa  # noqa: E402

DISTANCES = ("L2", "squared-L2", "angular")
LOSSES = {
    "semi_hard": lambda labels, rows, margin, distance: tfa.losses.triplet_semihard_loss(
        labels, rows, margin, distance_metric=distance),
    "hard": lambda labels, rows, margin, distance: tfa.losses.triplet_hard_loss(
        labels, rows, margin, soft=False, distance_metric=distance),
    "hard_soft": lambda labels, rows, margin, distance: tfa.losses.triplet_hard_loss(
        labels, rows, margin, soft=True, distance_metric=distance),
}


def loss_and_gradient(function, labels, embeddings, margin, distance):
    rows = tf.constant(embeddings)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        # A tensor, so that another margin is not another graph.
        loss = function(tf.constant(labels), rows, tf.constant(margin, tf.float32), distance)
    return loss.numpy(), tf.convert_to_tensor(tape.gradient(loss, rows)).numpy()


def main(batches_path, losses_path):
    batches = np.load(batches_path)
    results = {"versions": np.array([tf.__version__, tfa.__version__])}
    for case in sorted({key.partition("/")[0] for key in batches.files}):
        batch = [batches[f"{case}/{name}"] for name in ("labels", "embeddings", "margin")]
        for distance in DISTANCES:
            for name, function in LOSSES.items():
                loss, gradient = loss_and_gradient(function, *batch, distance)
                results[f"{case}/{distance}/{name}/loss"] = loss
                results[f"{case}/{distance}/{name}/grad"] = gradient
    np.savez(losses_path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
