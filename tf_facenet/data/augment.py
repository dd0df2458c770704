"""Random changes of training images after they are cropped, while they are still pixels.

A change is a function of an image uint8 [H, W, 3], of how strong or how frequent it shall be, and of random numbers,
uniform in [0, 1): what becomes of an image depends on nothing else. A new one is a function, a line in `CHANGES`, a
field of `Augmentation` and a flag of that name.

OpenCV changes one image in a few microseconds and lets other threads run meanwhile. TensorFlow's operations for whole
batches (projective transforms, depthwise convolutions) took five to ten times as long as decoding the images.
"""

import functools
import math
from dataclasses import dataclass, fields

import cv2
import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])  # grey of red, green and blue (ITU-R BT.601)
DEGREES, SCALE, SHIFT = 10.0, 0.1, 0.05  # of `affine` at strength 1: ± angle, ± share, ± share of a side
SMALLEST = 0.25  # side that `resize` shrinks to, as share
SIGMAS = (0.004, 0.016)  # of `blur`, as shares of the height: 0.4 to 1.8 of 112 pixels
AREAS, ASPECTS = (0.02, 0.2), (0.5, 2.0)  # of the rectangle of `erase`: share of the image, height / width
QUALITIES = (30, 91)  # of `jpeg`, the last excluded


@dataclass(frozen=True)
class Augmentation:
    """Which random changes images go through, by default none; and where they are cropped if not at random.

    Numbers are shares of the images, those of `random_affine` and `jitter` strengths. `place`: see `images.crop`.
    """

    random_crop: bool = False
    random_flip: bool = False
    random_rotate: bool = False
    place: tuple = (0.5, 0.5)
    random_affine: float = 0.0
    random_resize: float = 0.0
    random_blur: float = 0.0
    jitter: float = 0.0
    random_gray: float = 0.0
    random_jpeg: float = 0.0
    random_erase: float = 0.0

    @classmethod
    def of(cls, options):
        """What `options.DataOptions` ask for."""
        names = {field.name for field in fields(cls)} - {"place"}
        return cls(place=options.crop, **{name: getattr(options, name) for name in names})

    @property
    def changes(self):
        """Names of the `CHANGES` that are asked for."""
        return [name for name in CHANGES if getattr(self, name)]


def change(images, augmentation, draws):
    """Apply the changes that are asked for.

    Args:
        images: uint8 [N, H, W, 3].
        augmentation: `Augmentation`.
        draws: float32 [N, NUM_DRAWS], uniform in [0, 1).

    Returns:
        uint8 [N, H, W, 3].
    """
    counts = [count for _, count in CHANGES.values()]
    own = dict(zip(CHANGES, np.split(draws, np.cumsum(counts)[:-1], axis=1), strict=True))
    images = images.copy()
    for name in augmentation.changes:
        function, amount = CHANGES[name][0], getattr(augmentation, name)
        for row, numbers in enumerate(own[name].tolist()):
            images[row] = function(images[row], amount, *numbers)
    return images


def _on_a_share(function):
    """Let a change happen to a share of the images; it takes one number more, which decides."""
    @functools.wraps(function)
    def changed(image, share, chance, *numbers):
        return function(image, *numbers) if chance < share else image

    return changed


def affine(image, strength, *numbers):
    """Turn, scale and shift an image a little; its edges are repeated outwards."""
    height, width = image.shape[:2]
    angle, scale, down, right = (strength * _from(-1, 1, number) for number in numbers)
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), DEGREES * angle, 1 + SCALE * scale)
    matrix[:, 2] += width * SHIFT * right, height * SHIFT * down
    four = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)  # twice as fast as three channels
    turned = cv2.warpAffine(four, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.cvtColor(turned, cv2.COLOR_RGBA2RGB)


@_on_a_share
def resize(image, factor):
    """Shrink an image and enlarge it again, as a small face in a photograph (AdaFace, arXiv:2204.00964)."""
    height, width = image.shape[:2]
    factor = _from(SMALLEST, 1.0, factor)
    small = cv2.resize(image, (math.ceil(factor * width), math.ceil(factor * height)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


@_on_a_share
def blur(image, sigma):
    """Blur an image by a Gaussian."""
    return cv2.GaussianBlur(image, (0, 0), _from(*SIGMAS, sigma) * len(image))


def jitter(image, strength, *numbers):
    """Change brightness, contrast and saturation by factors of 1 ± strength.

    With the grey g of a pixel x and its mean m in the image: b (c (s x + (1 − s) g − m) + m).
    """
    brightness, contrast, saturation = (_from(1 - strength, 1 + strength, number) for number in numbers)
    matrix = np.empty([3, 4])
    matrix[:, :3] = brightness * contrast * (saturation * _SAME + (1 - saturation) * LUMA)
    matrix[:, 3] = brightness * (1 - contrast) * LUMA.dot(cv2.mean(image)[:3])
    return cv2.transform(image, matrix)


@_on_a_share
def gray(image):
    """Take the colour out of an image."""
    return cv2.transform(image, np.tile(LUMA, [3, 1]))


@_on_a_share
def jpeg(image, quality):
    """Save an image as JPEG and read it again."""
    setting = [cv2.IMWRITE_JPEG_QUALITY, int(_from(*QUALITIES, quality))]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), setting)[1]
    return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@_on_a_share
def erase(image, area, aspect, down, right, noise):
    """Hide a rectangle behind noise or, in half of the images, the mean colour (arXiv:1708.04896)."""
    area, aspect = _from(*AREAS, area), math.exp(_from(*map(math.log, ASPECTS), aspect))
    height, width = (max(1, round(share * side)) for share, side in zip(
        (math.sqrt(area * aspect), math.sqrt(area / aspect)), image.shape, strict=False))
    top, left = int(down * (len(image) - height + 1)), int(right * (image.shape[1] - width + 1))
    if noise < 0.5:
        filling = cv2.mean(image)[:3]
    else:
        filling = np.random.default_rng(int(noise * 2**24)).integers(0, 256, (height, width, 3), np.uint8)
    image = image.copy()
    image[top:top + height, left:left + width] = filling
    return image


_SAME = np.eye(3)


def _from(low, high, number):
    return low + (high - low) * number


# Field of `Augmentation` → change and how many numbers it takes, in the order in which a camera would do it.
CHANGES = {
    "random_affine": (affine, 4),
    "random_resize": (resize, 2),
    "random_blur": (blur, 2),
    "jitter": (jitter, 3),
    "random_gray": (gray, 1),
    "random_jpeg": (jpeg, 2),
    "random_erase": (erase, 6),
}
NUM_DRAWS = sum(count for _, count in CHANGES.values())
