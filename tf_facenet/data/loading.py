"""Encoded images → pixels of one size, in a graph: what training and everything else have in common."""

import tensorflow as tf

from tf_facenet import environment
from tf_facenet.data import augment, images

MAX_ROTATION = 10.0  # degrees
_DRAWS = 4  # random numbers for each image before it is an array: crop y, crop x, flip, rotation
NUM_DRAWS = _DRAWS + augment.NUM_DRAWS


def load(sources, are_paths, draws, image_size, augmentation, kinds):
    """Read, decode, turn, crop and flip images.

    Args:
        sources: string [B], paths and encoded images.
        are_paths: bool [B], which of them are paths.
        draws: float32 [B, at least 4], uniform in [0, 1).
        image_size: one number or (height, width).
        augmentation: `augment.Augmentation`.
        kinds: set of the values that occur in `are_paths`; a graph for one kind is smaller.

    Returns:
        ``(pixels, places)``: uint8 [n, height, width, 3] of the images that can be read, and their
        places int64 [n] among the sources.
    """
    def one(source, is_path, position, flipped, degrees):
        image = images.decode(_content(source, is_path, kinds))
        if augmentation.random_rotate:
            image = images.rotate(image, degrees)
        image = images.crop(image, image_size, position if augmentation.random_crop else None, augmentation.place)
        return images.flip(image, flipped) if augmentation.random_flip else image

    places, pixels = images.map_readable(
        one, sources, are_paths, draws[:, :2], draws[:, 2] < 0.5, MAX_ROTATION * (2 * draws[:, 3] - 1))
    return pixels, places


def _content(source, is_path, kinds):
    if len(kinds) > 1:
        return tf.cond(is_path, lambda: tf.io.read_file(source), lambda: source)
    return tf.io.read_file(source) if True in kinds else source


def changed(pixels, augmentation, draws):
    """Images [B, H, W, 3] after the changes that `augment` makes of them as arrays; draws [B, NUM_DRAWS]."""
    if not augmentation.changes:
        return pixels
    result = tf.numpy_function(lambda pixels, draws: augment.change(pixels, augmentation, draws),
                               [pixels, draws[:, _DRAWS:]], tf.uint8)
    return tf.ensure_shape(result, pixels.shape)


def check(count, batch_size):
    """Raise ValueError if there are no images, or a batch would have none; RuntimeError in a fork that cannot load."""
    environment.check_fork()
    if not count:
        raise ValueError("There are no images to make batches of; expected at least one.")
    if batch_size < 1:
        raise ValueError(f"The batch size is {batch_size}; expected at least 1.")
