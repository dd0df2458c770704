"""Encoded images → pixels of one size, in a graph: what training and everything else have in common."""

import tensorflow as tf

from tf_facenet import environment
from tf_facenet.data import augment, images

MAX_ROTATION = 10.0  # degrees
_DRAWS = 4  # random numbers for each image before it is an array: crop y, crop x, flip, rotation
NUM_DRAWS = _DRAWS + augment.NUM_DRAWS


def load(encoded, orientations, draws, image_size, augmentation):
    """Decode, turn, crop and flip images.

    Args:
        encoded: string [B], as `images.plain` gives them.
        orientations: int32 [B], the same.
        draws: float32 [B, at least 4], uniform in [0, 1).
        image_size: one number or (height, width).
        augmentation: `augment.Augmentation`.

    Returns:
        ``(pixels, places)``: uint8 [n, height, width, 3] of the images that can be decoded, and their
        places int64 [n] among the encoded ones.
    """
    def one(encoded, orientation, position, flipped, degrees):
        image = images.decode(encoded, orientation)
        if augmentation.random_rotate:
            image = images.rotate(image, degrees)
        image = images.crop(image, image_size, position if augmentation.random_crop else None, augmentation.place)
        return images.flip(image, flipped) if augmentation.random_flip else image

    places, pixels = images.map_readable(
        one, encoded, orientations, draws[:, :2], draws[:, 2] < 0.5, MAX_ROTATION * (2 * draws[:, 3] - 1))
    return pixels, places


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
