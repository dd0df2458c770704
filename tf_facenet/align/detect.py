"""Find faces and their five landmarks with MTCNN, in many pictures of any sizes at once.

Zhang et al., Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks, 2016. The networks and
their weights are those of the `mtcnn` package (Iván de Paz Centeno, MIT), which are davidsandberg/facenet's; so are the
thresholds and the order of the steps, up to single pixels at the borders. The difference is what runs when: the package
calls each network for each size of each picture, here one call looks at all sizes of all pictures of a batch.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tf_facenet import environment
from tf_facenet.align import boxes as box
from tf_facenet.align import networks
from tf_facenet.align.pyramid import CELL, STRIDE, pack

_SHEETS, _PATCHES = 4, 512  # that one call of a network takes
_GREY = 127.5  # what lies outside a picture
_SAME_LEVEL, _SAME_FACE = 0.5, 0.7  # overlap beyond which the better box of two is kept


@dataclass(frozen=True)
class Detections:
    """The faces of one picture, the surest first.

    Attributes:
        boxes: float32 [n, 4], x1, y1, x2, y2 in pixels; they may reach beyond the picture.
        scores: float32 [n], 0..1.
        landmarks: float32 [n, 5, 2], x and y of the eye on the left of the picture, the one on its right, the nose,
            the left and the right corner of the mouth.
    """

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray

    def __len__(self):
        return len(self.scores)


class Detector:
    """Finds faces.

    >>> found, = Detector()([image])
    >>> found.boxes[0], found.scores[0]

    Args:
        min_face_size: side in pixels of the smallest faces looked for; time grows with its inverse square. 0 stands for
            20, or 1/40 of a picture's longer side if that is more: what is smaller is hardly ever whom a picture shows.
        thresholds: scores that a face needs in each of the three networks. These are the package's; facenet's last is
            0.7, with which some things that are no faces pass.
        factor: ratio of one size of a picture to the next larger one.
        batch_size: pictures that are looked at together.

    Memory grows neither with the number of pictures nor with their size, but for the pictures themselves and, where
    faces of less than 48 pixels are looked for, a copy of one of them as float32.

    Raises:
        ValueError: a number that cannot be.
        OSError: the `mtcnn` package is not installed.
    """

    def __init__(self, min_face_size=0, thresholds=(0.6, 0.7, 0.8), factor=0.709, batch_size=16):
        if min_face_size < 0 or batch_size < 1:
            raise ValueError(f"min_face_size is {min_face_size} and batch_size {batch_size}; expected at least 0 and 1")
        if len(thresholds) != 3 or not all(0 <= threshold < 1 for threshold in thresholds):
            raise ValueError(f"thresholds are {thresholds}; expected three numbers from 0 to 1, as (0.6, 0.7, 0.8)")
        if not 0 < factor < 1:
            raise ValueError(f"factor is {factor}; expected a number between 0 and 1, such as 0.709")
        self.min_face_size, self.thresholds, self.factor = min_face_size, thresholds, factor
        self.batch_size = batch_size
        self._propose, self._refine, self._decide = networks.load()

    def __call__(self, images):
        """Find the faces in pictures.

        Args:
            images: list of uint8 [h, w, 3] RGB, of any sizes.

        Returns:
            list of `Detections`, which do not depend on what else is in the list.

        Raises:
            ValueError: something else was given.
        """
        environment.check_fork()
        for image in images:
            if getattr(image, "dtype", None) != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                given = f"{image.dtype} {list(image.shape)}" if hasattr(image, "dtype") else type(image).__name__
                raise ValueError(f"a picture is {given}; expected uint8 [height, width, 3]")
        starts = range(0, len(images), self.batch_size)
        return [found for start in starts for found in self._detect(images[start : start + self.batch_size])]

    def _detect(self, images):
        owners, squares = self._proposals(images)
        scores, shifts = _ask(self._refine, images, owners, squares, 24)
        owners, boxes, scores, _ = _best(self.thresholds[1], owners, box.move(squares, shifts), scores)
        squares = box.square(boxes)
        scores, shifts, shares = _ask(self._decide, images, owners, squares, 48)
        corners, sides = squares[:, None, :2], squares[:, None, 2:] - squares[:, None, :2] + 1
        landmarks = corners + shares.reshape(-1, 2, 5).transpose(0, 2, 1) * sides - 1
        owners, boxes, scores, kept = _best(self.thresholds[2], owners, box.move(squares, shifts), scores, "smaller")
        found = [part.astype(np.float32) for part in (boxes, scores, landmarks[kept])]
        return [Detections(*(part[owners == number] for part in found)) for number in range(len(images))]

    def _proposals(self, images):
        """The picture [n], in rising order, and the sides [n, 4] of squares that may hold a face."""
        parts = [self._propose_on(sheets) for sheets in pack(images, self.min_face_size, self.factor)]
        numbers, levels, boxes, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
        kept = box.suppress(boxes, scores, levels, _SAME_LEVEL)
        owners, boxes, *_ = _best(0, numbers[kept], boxes[kept], scores[kept])
        return owners, box.square(boxes)

    def _propose_on(self, sheets):
        """Picture [n], level [n], sides [n, 4] and score [n] of what may be a face."""
        tiles, places, scores, shifts = _in_parts(
            lambda *rows: self._propose(*rows, self.thresholds[0]), _SHEETS, sheets.pixels, sheets.owner)
        corners = (places * STRIDE + sheets.origin[tiles])[:, ::-1]  # y, x → x, y
        # Columns 1 to 12, not 0 to 12: the networks were trained with MATLAB's numbers.
        boxes = np.concatenate([corners + 1, corners + CELL], axis=1) + (CELL - 1) * shifts
        return sheets.image[tiles], sheets.level[tiles], boxes / sheets.scale[tiles, None], scores


def _best(threshold, owners, boxes, scores, of="union"):
    """The boxes [m] of a higher score that no better one of the same picture overlaps, and their places among all."""
    passed = np.flatnonzero(scores > threshold)
    kept = passed[box.suppress(boxes[passed], scores[passed], owners[passed], _SAME_FACE, of)]
    return owners[kept], boxes[kept], scores[kept], kept


def _ask(network, images, owners, boxes, side):
    """What a network says of squares [n, 4] of some pictures; `owners` [n] says of which, in rising order."""
    return _in_parts(lambda *part: network(_patches(images, *part, side)), _PATCHES, owners, boxes)


def _patches(images, owners, boxes, side):
    """Squares of pictures, scaled to float32 [n, side, side, 3]; see `_ask`."""
    patches = [_cut(images[number], boxes[owners == number], side) for number in np.unique(owners)]
    return np.concatenate(patches or [np.empty((0, side, side, 3), np.float32)])


def _cut(image, boxes, side):
    """Squares [n, 4] of a picture, scaled to float32 [n, side, side, 3], grey outside the picture."""
    height, width = image.shape[:2]
    shares = boxes[:, [1, 0, 3, 2]] / [height, width, height, width]
    return tf.raw_ops.CropAndResize(
        image=image[None], boxes=shares.astype(np.float32), box_ind=np.zeros(len(boxes), np.int32),
        crop_size=[side, side], extrapolation_value=_GREY).numpy()


def _in_parts(function, most, *rows):
    """Apply a function to so many rows of some arrays at a time; its results, several arrays each, joined."""
    starts = range(0, max(len(rows[0]), 1), most)
    parts = [function(*(column[start : start + most] for column in rows)) for start in starts]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
