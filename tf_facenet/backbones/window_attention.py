"""Attention between the places of each window of a map, the layer that Swin is made of."""

import keras
import numpy as np
from keras import ops

FAR = -100.0  # added to the logits of places that only the roll made neighbours


@keras.saving.register_keras_serializable(package="tf_facenet")
class WindowAttention(keras.layers.Layer):
    """Queries, keys and values side by side [B, H, W, 3C] → attended values [B, H, W, C].

    The map is cut into windows, after it was rolled by `shift` up and to the left. Each place
    attends to those of its window; a learned bias says how much it cares for a place so far down
    and so far across. https://arxiv.org/abs/2103.14030, section 3.2.

    Args:
        heads: number of heads h; the width C is a multiple of it.
        window: (rows, columns) of a window; they divide H and W.
        shift: (rows, columns) to roll by, or zeros.
    """

    def __init__(self, heads, window, shift, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.window, self.shift = heads, tuple(window), tuple(shift)

    def build(self, shape):
        rows, columns = self.window
        # Not cast to half precision: it is added in float32.
        self.relative_position_bias_table = self.add_weight(
            ((2 * rows - 1) * (2 * columns - 1), self.heads), autocast=False,
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="relative_position_bias_table")
        self.index = _relative_index(rows, columns)
        self.mask = _mask(shape[1:3], self.window, self.shift)
        self.built = True

    def call(self, qkv):
        _, height, width, channels = qkv.shape
        rows, columns = self.window
        down, across, depth = height // rows, width // columns, channels // 3 // self.heads
        x = self._roll(qkv, -1)
        x = ops.reshape(x, (-1, down, rows, across, columns, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        # Not [..., 3, heads, depth]: LiteRT slices nothing of more than five axes.
        x = ops.reshape(x, (-1, down * across, rows * columns, 3 * self.heads, depth))
        x = self._attend(*ops.split(x, 3, axis=3))
        x = ops.reshape(x, (-1, down, across, rows, columns, channels // 3))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return self._roll(ops.reshape(x, (-1, height, width, channels // 3)), 1)

    def _attend(self, queries, keys, values):
        """Three times [B, windows, N, h, C/h] → the same shape."""
        logits = ops.einsum("bwnhd,bwmhd->bwhnm", queries * queries.shape[-1] ** -0.5, keys)
        # Along axis 1: along axis 0 the gradient in TensorFlow would be a list of rows.
        bias = ops.take(ops.transpose(self.relative_position_bias_table), self.index, axis=1)
        logits = ops.cast(logits, "float32") + bias
        if self.mask is not None:
            logits = logits + self.mask
        weights = ops.cast(ops.softmax(logits), self.compute_dtype)
        return ops.einsum("bwhnm,bwmhd->bwnhd", weights, values)

    def _roll(self, x, sign):
        return ops.roll(x, [sign * by for by in self.shift], (1, 2)) if any(self.shift) else x

    def compute_output_shape(self, shape):
        return (*shape[:3], shape[3] // 3)

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "window": self.window, "shift": self.shift}


def _relative_index(rows, columns):
    """Row of the bias table for each pair of places of a window [N, N]."""
    y, x = np.divmod(np.arange(rows * columns), columns)
    down, across = (np.subtract.outer(places, places) for places in (y, x))
    return ((down + rows - 1) * (2 * columns - 1) + across + columns - 1).astype("int32")


def _mask(size, window, shift):
    """What keeps places apart that are neighbours only since the roll: [windows, 1, N, N], or None."""
    if not any(shift):
        return None
    # What was rolled out at one end came in at the other, beside places it has nothing to do with.
    y, x = (np.arange(side) >= side - by for side, by in zip(size, shift, strict=True))
    parts = 2 * y[:, None] + x
    rows, columns = window
    parts = parts.reshape(size[0] // rows, rows, size[1] // columns, columns).swapaxes(1, 2)
    parts = parts.reshape(-1, 1, rows * columns)
    return np.where(parts[..., None] == parts[..., None, :], 0.0, FAR).astype("float32")
