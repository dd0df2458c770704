"""All images of a set once, in order: to embed, to validate, to choose triplets from.

Threads call one traced function for all sets of a size. A tf.data dataset takes a quarter of a second to begin, which
is most of the time of a small set, and keeps some memory of each time that it is begun.
"""

import functools
import os

import numpy as np
import tensorflow as tf

from tf_facenet.data import images, loading
from tf_facenet.data.augment import Augmentation
from tf_facenet.data.samples import Samples
from tf_facenet.threads import in_order


def evaluation_batches(samples, batch_size, image_size, num_threads=None, place=Augmentation.place, rows=None):
    """Images in order, cropped or padded to the size; the last batch may be smaller.

    Args:
        samples: N paths or bytes of encoded images.
        batch_size: images per batch, B.
        image_size: one number or (height, width).
        num_threads: batches that are decoded at the same time; None = one for each core.
        place: where larger images are cropped, see `images.crop`.
        rows: which of the samples, [M]; None = all.

    Returns:
        Iterator over tensors uint8 [≤ B, height, width, 3].

    Raises:
        ValueError: there are no samples, or `batch_size` is not positive.
        OSError: while iterating, if images cannot be read; it names them.
    """
    loading.check(len(samples), batch_size)
    rows = np.arange(len(samples)) if rows is None else rows
    return _batches(samples, rows, batch_size, image_size, Augmentation(place=place), num_threads)


def augmented_images(samples, image_size, augmentation, seed, batch_size=100):
    """All images in order, each decoded and changed at random once.

    Args:
        samples: N paths or bytes of encoded images.
        image_size: one number or (height, width).
        augmentation: `Augmentation`.
        seed: two integers; the same give the same images.
        batch_size: images that one thread decodes at a time.

    Returns:
        uint8 [N, height, width, 3].

    Raises:
        OSError: images cannot be read; it names them.
    """
    draws = tf.random.stateless_uniform([len(samples), loading.NUM_DRAWS], seed).numpy()
    return np.concatenate([batch.numpy() for batch in _batches(
        samples, np.arange(len(samples)), batch_size, image_size, augmentation, draws=draws)])


def _batches(samples, rows, batch_size, image_size, augmentation, num_threads=None, draws=None):
    references = Samples.of(samples)
    load = _loader(images.height_width(image_size), augmentation)

    def batch(rows):
        own = np.zeros([len(rows), loading.NUM_DRAWS], np.float32) if draws is None else draws[rows]
        contents = references.contents(rows)
        encoded, orientations, reasons = images.plain_or_reason(contents)
        pixels, places = load(encoded, orientations, own)
        if len(places) < len(rows):
            lost = np.delete(np.arange(len(rows)), places)
            faults = (f"{os.fsdecode(name)} ({reasons[place] or images.damaged(contents[place])})"
                      for place, name in zip(lost, references.names(rows[lost]), strict=True))
            raise OSError(f"Images that cannot be read: {', '.join(faults)}. Replace or remove them.")
        return pixels

    parts = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    return in_order(batch, parts, num_threads or os.cpu_count())


@functools.cache
def _loader(image_size, augmentation):
    """`loading.load` and `loading.changed` as one traced function; the changes are made if no image is missing."""
    def load(encoded, orientations, draws):
        with tf.device("CPU:0"):
            pixels, places = loading.load(encoded, orientations, draws, image_size, augmentation)
            return loading.changed(pixels, augmentation, tf.gather(draws, places)), places

    return tf.function(load, autograph=False, input_signature=[
        tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None, loading.NUM_DRAWS], tf.float32)])
