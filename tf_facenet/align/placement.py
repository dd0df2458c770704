"""Where eyes, nose and mouth lie in aligned pictures, and which template that is."""

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from tf_facenet.align import crop

PARTS = ("left eye", "right eye", "nose", "left corner of the mouth", "right corner")  # of landmarks, in their order
HEIGHT = 112  # pixels in which places are given, whatever the size of the pictures
NEAR = 0.04  # of the height: mean distance of landmarks to a template that pictures on it have at most
STEADY = 0.12  # of the distance of the eyes: scatter of the eyes in aligned pictures at most
FEW = 0.7  # share of pictures with a face below which something is wrong

_BATCH = 64
_REMEDY = "tf-facenet align puts faces on a template"
_LARGEST = 400  # side that larger pictures are shrunk to before a face is looked for


@dataclass(frozen=True, eq=False)
class Placement:
    """Landmarks of some pictures, in pixels of pictures scaled to a height of 112.

    Attributes:
        looked_at: number of pictures.
        found: number of those in which a face was found.
        mean: [5, 2], x and y of left eye, right eye, nose, left and right corner of the mouth; NaN without faces.
        scatter: [5, 2], their standard deviations.
    """

    looked_at: int
    found: int
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def eye_distance(self):
        """Pixels between the eyes."""
        return float(np.hypot(*(self.mean[1] - self.mean[0])))

    @property
    def steady(self):
        """Whether the eyes are always at the same places, as far as the detector sees it."""
        return bool(np.sqrt((self.scatter[:2] ** 2).mean()) < STEADY * self.eye_distance)

    @property
    def template(self):
        """Name of the template on which the faces lie, or None."""
        name = min(crop.TEMPLATES, key=self.distance)
        return name if self.distance(name) < NEAR * HEIGHT else None

    def distance(self, name):
        """Root mean square distance of the mean landmarks to a template."""
        return float(np.sqrt(((self.mean - crop.TEMPLATES[name]) ** 2).sum(axis=1).mean()))

    def verdict(self):
        """``(text, odd)``: one line about it, and whether the pictures need another look."""
        if self.found < FEW * self.looked_at:
            return f"no face found in {self.looked_at - self.found} of {self.looked_at} images", True
        where = f"eyes {self.eye_distance:.0f} px apart in images {HEIGHT} px high"
        if not self.steady:
            return f"not aligned: {where}, at changing places; {_REMEDY}", True
        if not self.template:
            return f"aligned, but to no template known here: {where}; {_REMEDY}", True
        off = self.distance(self.template)
        return f"{self.template} template{_compared(self.template)} (on average {off:.1f} px off)", False


def measure(images, detector, progress=None):
    """Find the landmarks of pictures.

    Args:
        images: uint8 [h, w, 3] each, an iterable.
        detector: `detect.Detector`, or a function like it.
        progress: called with the number of images looked at so far.

    Returns:
        `Placement`.
    """
    looked_at, landmarks, images = 0, [], map(_shrink, images)
    while batch := list(itertools.islice(images, _BATCH)):
        looked_at += len(batch)
        landmarks += [found.landmarks[crop.choose(found.boxes, image.shape[:2])] * (HEIGHT / image.shape[0])
                      for image, found in zip(batch, detector(batch), strict=True) if len(found.boxes)]
        if progress:
            progress(looked_at)
    some = np.array(landmarks) if landmarks else np.full((1, 5, 2), np.nan)
    return Placement(looked_at, len(landmarks), some.mean(axis=0), some.std(axis=0))


def describe(placement):
    """Where the landmarks are, in words."""
    places = ", ".join(f"{part} {x:.0f},{y:.0f}" for part, (x, y) in zip(PARTS, placement.mean, strict=True))
    return f"{places}; scatter {placement.scatter.min():.1f} to {placement.scatter.max():.1f} px"


def _compared(name):
    """How a template lies to the first of the table, in words."""
    first = next(iter(crop.TEMPLATES))
    right, _ = (crop.TEMPLATES[name] - crop.TEMPLATES[first]).mean(axis=0).round()
    return f", {abs(right):.0f} px {'left' if right < 0 else 'right'} of {first}'s" if right else ""


def _shrink(image):
    factor = _LARGEST / max(image.shape[:2])
    if factor >= 1:
        return image
    size = [max(round(side * factor), 1) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
