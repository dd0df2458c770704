"""Cut a face out of a picture: facenet's crop with a margin, or a turn and a scale that put it onto a template.

The crop and the choice among several faces are those of davidsandberg/facenet (src/align/align_dataset_mtcnn.py; MIT).
Templates are the places of five landmarks on a picture of a given size: "112x112" is that of insightface's recognition
models; "112x96" is the older one of SphereFace and of many CASIA-WebFace models, the same moved left by 8 pixels.
"""

import cv2
import numpy as np
import tensorflow as tf

from tf_facenet.align import boxes as box
from tf_facenet.lookup import lookup

_FACE = np.array([[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]])

# Height x width → landmarks [5, 2], x and y: left eye, right eye, nose, left and right corner of the mouth.
TEMPLATES = {"112x112": _FACE + [8, 0], "112x96": _FACE}


def template(name):
    """Landmarks [5, 2] of a template and its size (height, width).

    Raises:
        ValueError: there is no such template.
    """
    height, width = name.split("x") if name in TEMPLATES else (0, 0)
    return lookup(TEMPLATES, name, "template"), (int(height), int(width))


def similarity(landmarks, template):
    """The rotation, scale and shift that bring landmarks nearest to a template, in the sense of least squares.

    Umeyama, Least-Squares Estimation of Transformation Parameters Between Two Point Patterns, 1991, in two dimensions.
    There a similarity is one complex number a and a shift b, z → a z + b, so that it cannot mirror, and a is the
    ordinary regression coefficient.

    Args:
        landmarks: [n, 2], x and y.
        template: [n, 2], where they are to lie.

    Returns:
        float64 [2, 3], for `warp`.

    Raises:
        ValueError: all landmarks lie on one point.
    """
    here, there = (np.asarray(points, float) @ [1, 1j] for points in (landmarks, template))
    centred = here - here.mean()
    spread = (np.abs(centred) ** 2).sum()
    if not spread > 0:
        raise ValueError(f"the {len(here)} landmarks all lie on one point; expected the places of eyes, nose and mouth")
    a = np.vdot(centred, there - there.mean()) / spread
    b = there.mean() - a * here.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def warp(image, matrix, size):
    """Bring a picture onto a template.

    A picture that shrinks by more than half is halved first, as often as needed, so that no pixel is skipped.

    Args:
        image: uint8 [h, w, 3].
        matrix: [2, 3], from the picture's pixels to the result's.
        size: (height, width) of the result.

    Returns:
        uint8 [height, width, 3]; black where the picture has nothing.
    """
    matrix = np.array(matrix, float)
    while np.hypot(*matrix[:, 0]) < 0.5 and min(image.shape[:2]) > 1:
        height, width = image.shape[0] // 2, image.shape[1] // 2
        image = cv2.resize(image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5]  # the centre of the first of the larger pixels
        matrix[:, :2] *= 2
    return cv2.warpAffine(image, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR)


def margin_crop(image, box, margin, image_size):
    """Facenet's crop: the box, half a margin more on each side, scaled to the size wanted.

    Args:
        image: uint8 [h, w, 3].
        box: [4], x1, y1, x2, y2.
        margin: pixels of the picture that width and height grow by, as far as it has them.
        image_size: side of the result. The box is stretched to a square: facenet does so, and its models expect it.

    Returns:
        ``(face, crop)``: uint8 [image_size, image_size, 3], and the pixels cut out, int32 [4].

    Raises:
        ValueError: the box lies outside the picture.
    """
    height, width = image.shape[:2]
    grown = np.asarray(box, float) + np.array([-1, -1, 1, 1]) * margin / 2
    crop = np.clip(grown, 0, [width, height, width, height]).astype(np.int32)
    x1, y1, x2, y2 = crop
    if x2 <= x1 or y2 <= y1:
        raise ValueError(f"the box {np.asarray(box).tolist()} has no pixels in a picture of {width}x{height}")
    return resize(image[y1:y2, x1:x2], (image_size, image_size)), crop


def resize(image, size):
    """Scale a picture uint8 [h, w, 3] to (height, width), like Pillow's BILINEAR: all pixels count when it shrinks."""
    scaled = tf.image.resize(image, size, antialias=True).numpy()
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)


def choose(boxes, image_size, rule="central"):
    """Index of the face that a picture is of.

    Args:
        boxes: [n, 4] with n > 0.
        image_size: (height, width) of the picture.
        rule: "central" is facenet's: the largest area minus twice the squared distance of its centre from the
            picture's; "largest" the largest area; "score" the first box.

    Raises:
        ValueError: the rule is unknown.
    """
    return int(np.argmax(lookup(RULES, rule, "rule")(np.asarray(boxes, float), image_size)))


def _central(boxes, image_size):
    offsets = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.array(image_size[::-1]) / 2
    return box.areas(boxes) - 2 * (offsets**2).sum(axis=1)


RULES = {
    "central": _central,
    "largest": lambda boxes, _: box.areas(boxes),
    "score": lambda boxes, _: -np.arange(len(boxes)),
}
