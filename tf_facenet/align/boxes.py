"""Arithmetic of boxes [n, 4] with columns x1, y1, x2, y2, in NumPy, for the boxes of many pictures at once."""

import numpy as np

_BLOCK = 512  # boxes compared with all better ones at a time


def areas(boxes):
    """[n]; of a box that is turned inside out, 0."""
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)


def overlaps(one, other, of="union"):
    """Share [n, m] of the union, or of the smaller box (`of` = "smaller"), that two boxes have in common."""
    x1, y1, x2, y2 = one.T[:, :, None]
    left, top, right, bottom = other.T[:, None]
    width = np.maximum(np.minimum(x2, right) - np.maximum(x1, left), 0)
    common = width * np.maximum(np.minimum(y2, bottom) - np.maximum(y1, top), 0)
    first, second = areas(one)[:, None], areas(other)[None]
    whole = np.minimum(first, second) if of == "smaller" else first + second - common
    return common / np.maximum(whole, 1e-9)


def suppress(boxes, scores, groups, threshold, of="union"):
    """Indices of the boxes that no better box of their group overlaps by more than a threshold.

    As in the mtcnn package, and unlike facenet, a box gives way also to better boxes that are themselves suppressed.

    Returns:
        int64 [m], group by group, each with the best first.
    """
    order = np.lexsort((-scores, groups))
    ends = np.flatnonzero(np.diff(groups[order])) + 1
    return np.concatenate([_best(boxes, own, threshold, of) for own in np.split(order, ends)])


def _best(boxes, own, threshold, of):
    """Of the boxes with indices `own`, the best first, those that none before them overlaps too much."""
    kept = []
    for start in range(0, len(own), _BLOCK):
        block = own[start : start + _BLOCK]
        over = overlaps(boxes[own[: start + len(block)]], boxes[block], of) > threshold
        kept.append(block[~np.triu(over, 1 - start).any(axis=0)])
    return np.concatenate(kept) if kept else own


def move(boxes, shifts):
    """Move the sides of boxes by shifts [n, 4], in units of width + 1 and height + 1."""
    return boxes + shifts * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)


def square(boxes):
    """The squares around the same centres as wide as the longer sides."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centers - half, centers + half], axis=1)
