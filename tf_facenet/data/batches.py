"""Endless, shuffled batches of images to train on, as a tf.data dataset.

One thread reads and decodes a batch, several batches at a time. This costs less per image than a
parallel stage of single images, and a file that cannot be read concerns its own batch only.
"""

import logging
import os

import numpy as np
import tensorflow as tf

from tf_facenet.data import images, loading
from tf_facenet.data.loading import NUM_DRAWS
from tf_facenet.data.samples import Samples

NO_IMAGE = "No image of a batch can be read:"

logger = logging.getLogger(__name__)


def training_batches(faces, batch_size, image_size, augmentation, seed, start=0,  # noqa: PLR0913  (facts of a batch)
                     num_threads=None, images_per_person=0, part=(0, 1)):
    """Endless shuffled batches; each pass over the faces has each image once, in its own order.

    With `images_per_person` K, a batch is people drawn at random, one after the other, each with up
    to K images; people with fewer have all of theirs, and the last one may be cut.

    Batch k depends on nothing but the faces, `batch_size`, `seed` and k: training that stopped
    after k batches goes on with ``start=k``. A file that cannot be read any more is replaced by
    another image of its batch, with a warning.

    Args:
        faces: `Faces`.
        batch_size: images per batch, B.
        image_size: one number or (height, width).
        augmentation: `Augmentation`.
        seed: integer.
        start: number of the first batch.
        num_threads: batches that are decoded at the same time; None = one for each core.
        images_per_person: K; 0 = images as they come.
        part: (index, count): only this part of each batch, the same images in the same places as in the whole;
            count divides B.

    Returns:
        `tf.data.Dataset` of (images uint8 [B, height, width, 3], labels int32 [B]), of a part [B / count, …].

    Raises:
        ValueError: there are no faces, or `batch_size` is not positive, or K images of each person
            do not fill a batch.
        tf.errors.InvalidArgumentError: while iterating, if no image of a batch can be read.
    """
    loading.check(len(faces), batch_size)
    loader = _Loader(faces.samples, image_size, augmentation)
    labels = _constant(faces.labels, tf.int32)

    size = batch_size // part[1]
    own = slice(part[0] * size, (part[0] + 1) * size)

    def batch(step, rows):
        rows = rows[own]
        draws = tf.random.stateless_uniform([batch_size, NUM_DRAWS], [2 * seed + 1, step])[own]
        pixels, places = loader(rows, draws)
        lost = loader.names_of_lost(rows, places)
        tf.debugging.Assert(tf.size(places) > 0, [NO_IMAGE, lost])
        pixels, places = tf.cond(tf.size(lost) > 0, lambda: _fill(pixels, places, lost),
                                 lambda: (pixels, places))
        pixels = tf.ensure_shape(pixels, [size, *images.height_width(image_size), 3])
        places = tf.ensure_shape(places, [size])
        return loading.changed(pixels, augmentation, draws), tf.gather(labels, tf.gather(rows, places))

    steps = tf.data.Dataset.range(start, tf.int64.max)
    rows = (_people(faces.labels, batch_size, images_per_person, seed, start) if images_per_person
            else _shuffled(len(faces), batch_size, seed, start))
    return _parallel(tf.data.Dataset.zip((steps, rows)), batch, num_threads)


class _Loader:
    """Rows of a set of samples → the pixels of those that can be read, in a graph."""

    def __init__(self, samples, image_size, augmentation):
        self.references = Samples.of(samples)
        self.image_size, self.augmentation = image_size, augmentation

    def __call__(self, rows, draws):
        """Pixels of the images int64 [B] that can be read and their places among the rows, see `loading.load`."""
        encoded, orientations = tf.numpy_function(self._plain, [rows], [tf.string, tf.int32])
        return loading.load(tf.ensure_shape(encoded, rows.shape), tf.ensure_shape(orientations, rows.shape), draws,
                            self.image_size, self.augmentation)

    def _plain(self, rows):
        return images.plain_or_reason(self.references.contents(rows))[:2]

    def names_of_lost(self, rows, places):
        """Paths of the rows whose places are missing."""
        places = tf.sets.difference(tf.range(tf.size(rows, tf.int64))[tf.newaxis],
                                    places[tf.newaxis]).values
        return tf.numpy_function(self.references.names, [tf.gather(rows, places)], tf.string)


def _shuffled(count, batch_size, seed, start):
    """Endless dataset of rows int64 [B]: permutations of 0..count-1, one after the other.

    A pass draws its whole permutation: 8 bytes and 20 ns per image. TensorFlow's `index_shuffle`
    needs no memory, but its successive passes are correlated and repeat themselves after 256.
    """
    first, offset = divmod(start * batch_size, count)

    def rest_of_pass(number):
        rows = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64),
                                                        [2 * seed, number])
        return rows[tf.where(number == first, tf.constant(offset, tf.int64), 0):]

    passes = _map(tf.data.Dataset.range(first, tf.int64.max), rest_of_pass)
    return passes.rebatch(batch_size, drop_remainder=True)


def check_people(labels, batch_size, images_per_person):
    """Raise ValueError unless images of people fill a batch, and some show the same person."""
    counts = np.bincount(labels)
    if counts.max() < 2:
        raise ValueError(f"None of the {len(counts)} people of --data_dir has two images; triplets need an anchor and"
                         " a positive of one person. Train with train_softmax.py, or add images")
    available = int(np.minimum(counts, images_per_person).sum())
    if available < batch_size:
        raise ValueError(f"A batch of {batch_size} images, at most {images_per_person} of a person, needs more "
                         f"than the {available} that {len(counts)} people have. Lower --people_per_batch")


def _people(labels, batch_size, images_per_person, seed, start):
    """Endless dataset of rows int64 [B], person after person."""
    check_people(labels, batch_size, images_per_person)
    counts = np.bincount(labels)
    images = _constant(np.argsort(labels, kind="stable"), tf.int64)  # person after person
    firsts, counts = _constant(np.cumsum(counts) - counts, tf.int64), _constant(counts, tf.int64)

    def batch(step):
        people = tf.random.experimental.stateless_shuffle(
            tf.range(tf.size(counts)), [2 * seed, 2 * step])[:batch_size]  # each has an image
        sizes = tf.gather(counts, people)
        ends = tf.cumsum(sizes)
        places = tf.range(ends[-1])
        person = tf.searchsorted(ends, places, side="right")
        begin = tf.gather(ends - sizes, person)
        keys = tf.random.stateless_uniform(tf.shape(places), [2 * seed, 2 * step + 1], dtype=tf.float64)
        # Sorted by person and, within, by chance; a person's first K of them are taken.
        order = tf.argsort(tf.cast(person, tf.float64) + keys)
        chosen = tf.boolean_mask(order, places - begin < images_per_person)[:batch_size]
        rows = tf.gather(places - begin + tf.gather(firsts, tf.gather(people, person)), chosen)
        return tf.ensure_shape(tf.gather(images, rows), [batch_size])

    return _map(tf.data.Dataset.range(start, tf.int64.max), batch)


def _parallel(dataset, function, num_threads):
    dataset = _map(dataset, function, num_parallel_calls=num_threads or os.cpu_count(), deterministic=True)
    return untuned(dataset.prefetch(2))


def _map(dataset, function, **options):
    """`Dataset.map` of a function of nothing but TensorFlow's operations, which need not be converted by AutoGraph."""
    return dataset.map(tf.autograph.experimental.do_not_convert(function), **options)


def untuned(dataset):
    """The dataset without the thread by which TensorFlow tunes it.

    Nothing is left to tune, and the thread sleeps for up to a minute, in which the iterator cannot be closed. Left to
    itself it would also let buffers grow to half of the memory.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _fill(pixels, places, lost):
    """Repeat images of the batch, from its first on, as often as others are lost."""
    tf.numpy_function(_warn, [lost], [])
    rows = tf.range(tf.size(places) + tf.size(lost)) % tf.size(places)
    return tf.gather(pixels, rows), tf.gather(places, rows)


def _warn(lost):
    for name in lost:
        logger.warning("%s cannot be read any more; another image takes its place",
                       os.fsdecode(name))


def _constant(values, dtype=None):
    with tf.device("CPU:0"):  # where all of tf.data happens
        return tf.constant(values, dtype)
