"""Images of any number and size, decoded a few at a time, so that memory is bounded by pixels."""

import math

from tf_facenet.data import headers, images
from tf_facenet.threads import in_order

_THREADS = 4  # that read and decode
_PIXELS = 50_000_000  # decoded at a time, unless one image has more


def decoded(samples, most):
    """Read and decode images.

    Args:
        samples: as in `Faces`: paths, bytes, or places in a record file.
        most: images at a time, if their pixels are few.

    Yields:
        lists of what became of some images, in order: uint8 [h, w, 3], or a str that says why there are no pixels.
    """
    part, pixels = [], 0
    for content in in_order(_encoded, samples, _THREADS):
        more = math.prod(headers.image_size(content)) if isinstance(content, bytes) else 0
        if part and (len(part) == most or pixels + more > _PIXELS):
            yield list(in_order(_pixels, part, _THREADS))
            part, pixels = [], 0
        part, pixels = [*part, content], pixels + more
    if part:
        yield list(in_order(_pixels, part, _THREADS))


def _encoded(sample):
    try:
        return images.encoded(sample)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError as error:
        return str(error)


def _pixels(content):
    try:
        return images.pixels(content) if isinstance(content, bytes) else content
    except ValueError as error:
        return str(error)
