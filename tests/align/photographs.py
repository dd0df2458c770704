"""Pictures with faces that MTCNN finds, drawn and real."""

import xml.etree.ElementTree as ElementTree

import numpy as np

from tf_facenet.data import drawn
from tf_facenet.data.images import pixels


def framed(number, height, width, y, x):
    """A drawn face of 112×112 at a place of a grey picture, uint8 [height, width, 3]."""
    image = np.full((height, width, 3), 120, np.uint8)
    image[y : y + 112, x : x + 112] = pixels(drawn.draw(people=1, images=1, size=112, first=number).samples[0])
    return image


def drawn_photographs():
    """Four pictures of three sizes, the last with two faces."""
    two = framed(4, 250, 330, 60, 20)
    two[90:202, 180:292] = framed(7, 112, 112, 0, 0)
    return [framed(2, 250, 250, 60, 70), framed(4, 301, 263, 100, 40), framed(6, 250, 250, 40, 100), two]


def annotated(folder):
    """Yields (image uint8 [h, w, 3], boxes [n, 4]) of a folder of photographs with dlib's files of boxes."""
    for name in ("testing.xml", "training.xml"):
        for image in ElementTree.parse(folder / name).iter("image"):
            boxes = [[int(box.get(side)) for side in ("left", "top", "width", "height")] for box in image.iter("box")]
            boxes = np.array(boxes, float)
            boxes[:, 2:] += boxes[:, :2]
            yield pixels((folder / image.get("file")).read_bytes()), boxes
