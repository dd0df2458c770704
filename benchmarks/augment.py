"""Milliseconds an image of each random change, beside decoding a JPEG of 112x112.

    python benchmarks/augment.py [--rounds 15]

Processor time of batches of 64 in one process, best of all rounds in turn. Every row changes all images, so a share of
0.2 costs a fifth of it; "usual mix" is affine and jitter for all, the others for a tenth.
"""

import argparse
import functools
import time

import tensorflow as tf

from tf_facenet import data
from tf_facenet.data import augment, images

BATCH, SIZE = 64, 112
ALL = {name: 1.0 for name in augment.CHANGES} | {"jitter": 0.2}  # which is a strength, not a share
MIX = {name: 0.1 for name in ALL} | {"jitter": 0.2, "random_affine": 1.0}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    tf.config.threading.set_intra_op_parallelism_threads(1)
    rows = contenders(data.load(f"drawn:people=8,images={BATCH // 8},size={SIZE}").samples)
    best = dict.fromkeys(rows, float("inf"))
    for _ in range(rounds):
        for name, work in rows.items():
            best[name] = min(best[name], milliseconds(work))
    print(f"{'':16}{'ms an image':>12}{'/ decoding':>12}")
    for name, spent in best.items():
        print(f"{name:16}{spent:12.3f}{spent / best['decode_jpeg']:12.2f}")


def contenders(samples):
    """Name → work on a batch."""
    contents = tf.data.Dataset.from_tensor_slices(tf.constant(list(samples))).repeat()
    decoded = iter(contents.map(lambda content: tf.ensure_shape(
        tf.io.decode_jpeg(content, channels=3), [SIZE, SIZE, 3])).batch(BATCH))
    pixels = tf.stack([images.decode(content) for content in samples]).numpy()
    draws = tf.random.stateless_uniform([BATCH, augment.NUM_DRAWS], (1, 2)).numpy()
    changes = {name: augment.Augmentation(**{name: amount}) for name, amount in ALL.items()}
    changes["usual mix"] = augment.Augmentation(**MIX)
    return {"decode_jpeg": functools.partial(next, decoded),
            **{name: functools.partial(augment.change, pixels, how, draws) for name, how in changes.items()}}


def milliseconds(work, batches=4):
    """Of an image; the first batch is for warming up."""
    work()
    start = time.process_time()
    for _ in range(batches):
        work()
    return (time.process_time() - start) * 1e3 / batches / BATCH


if __name__ == "__main__":
    main()
