"""Image pyramids of pictures of any sizes, packed onto sheets of one size.

The first network of MTCNN looks at a picture in many sizes. To look at many pictures at once, all the small copies are
cut into tiles and laid beside each other on sheets. The network sees 12×12 pixels at every second place, so a tile at
even coordinates gets the same answers as the picture alone, wherever it lies; answers from across a border are dropped.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SHEET = 512  # pixels, side of a sheet
CELL, STRIDE = 12, 2  # what the first network sees, and how far apart
SMALLEST, SHARE = 20, 1 / 40  # a face has at least so many pixels, and this share of its picture's longer side
_PACKED = 16 * SHEET**2  # pixels of tiles that are packed together
_STRIP = 2**20  # pixels of a picture that are made small at once


@dataclass(frozen=True)
class Sheets:
    """Packed pyramids.

    Attributes:
        pixels: float32 [s, h, w, 4], even h and w up to `SHEET`: RGB 0..255, and 1 outside of any tile.
        owner: int32 [s, (h - 10) / 2, (w - 10) / 2], the tile that holds the 12×12 pixels at (2i, 2j), or -1.
        origin: int64 [t, 2], (y, x) of each tile's first pixel in its level, less that on its sheet.
        level: int64 [t], a number for the level of the picture that a tile is cut from.
        scale: float64 [t], pixels of the level per pixel of the picture.
        image: int64 [t], the picture.
    """

    pixels: np.ndarray
    owner: np.ndarray
    origin: np.ndarray
    level: np.ndarray
    scale: np.ndarray
    image: np.ndarray


def smallest_face(height, width):
    """Side in pixels of the smallest faces looked for in a picture, if nobody says otherwise."""
    return max(SMALLEST, SHARE * max(height, width))


def scales(height, width, min_face_size, factor):
    """Sizes at which to look at a picture: from faces of `min_face_size` = 12 pixels down to a picture of 12 pixels."""
    first, shorter = CELL / min_face_size, min(height, width)
    if shorter * first < CELL:
        return np.empty(0)
    count = int(np.log(CELL / (shorter * first)) / np.log(factor) + 1e-9) + 1
    return first * factor ** np.arange(count)


def pack(images, min_face_size, factor):
    """The pyramids of some pictures, packed.

    Args:
        images: list of uint8 [h, w, 3].
        min_face_size: side of the smallest faces in pixels, or 0 for each picture's `smallest_face`.
        factor: ratio of one level to the next larger one.

    Yields:
        `Sheets`, bounded in size: one for all pictures if these are few and small, many for one that is large.
    """
    tiles, rows, size = [], [], 0
    for tile, row in _tiles(images, min_face_size, factor):
        if tiles and size + tile[..., 0].size > _PACKED:
            yield _sheets(tiles, rows)
            tiles, rows, size = [], [], 0
        tiles.append(tile)
        rows.append(row)
        size += tile[..., 0].size
    yield _sheets(tiles, rows)


def _tiles(images, min_face_size, factor):
    """Yields tiles, float32 [h, w, 3], each with (y, x, level, scale, image) as in `Sheets`."""
    level = 0
    for number, image in enumerate(images):
        height, width = image.shape[:2]
        sizes = scales(height, width, min_face_size or smallest_face(height, width), factor)
        if not len(sizes):
            continue
        pixels = _reduced(image, max(int(0.5 / sizes[0]), 1))  # still at least twice as large as the first level
        for scale in sizes:
            small = cv2.resize(pixels, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_AREA)
            for y, x in _starts(*small.shape[:2]):
                yield small[y : y + SHEET, x : x + SHEET], (y, x, level, scale, number)
            level += 1


def _reduced(image, factor):
    """The means of a picture over squares of `factor` pixels; as a whole it never lies in memory as float32.

    Rounded to bytes, small copies would move boxes by several per cent.
    """
    height, width = image.shape[0] // factor, image.shape[1] // factor
    reduced = np.empty((height, width, 3), np.float32)
    rows = max(_STRIP // (factor**2 * width), 1)
    for y in range(0, height, rows):
        strip = image[y * factor : min(y + rows, height) * factor, : width * factor].astype(np.float32)
        reduced[y : y + rows] = cv2.resize(strip, (width, len(strip) // factor), interpolation=cv2.INTER_AREA)
    return reduced


def _sheets(tiles, rows):
    places, sheets, height, width = _places([tile.shape[:2] for tile in tiles])
    pixels = np.zeros((sheets, height, width, 4), np.float32)
    pixels[..., 3] = 1
    owner = np.full((sheets, _cells(height), _cells(width)), -1, np.int32)
    for number, (tile, (sheet, y, x)) in enumerate(zip(tiles, places, strict=True)):
        height, width = tile.shape[:2]
        pixels[sheet, y : y + height, x : x + width, :3] = tile
        pixels[sheet, y : y + height, x : x + width, 3] = 0
        i, j = y // STRIDE, x // STRIDE
        owner[sheet, i : i + _cells(height), j : j + _cells(width)] = number
    y, x, level, scale, image = np.array(rows).reshape(-1, 5).T
    origin = np.stack([y, x], axis=1).astype(int) - np.array(places, int).reshape(-1, 3)[:, 1:]
    return Sheets(pixels, owner, origin, level.astype(int), scale, image.astype(int))


def _cells(length):
    """Places for the network along a side; if it is odd, the last lacks a pixel."""
    return (length + 1 - CELL) // STRIDE + 1


def _starts(height, width):
    """Where tiles of a level begin: they overlap so that every 12×12 pixels lie on exactly one of them."""
    step = SHEET - CELL + STRIDE
    rows, columns = (range(0, max(side + 1 - CELL, 0) + 1, step) for side in (height, width))
    return [(y, x) for y in rows for x in columns]


def _places(sizes):
    """Lay tiles in rows, the highest first.

    Returns:
        ``(places, sheets, height, width)``: [(sheet, y, x)] in the order of the sizes, how many sheets there are, and
        the part of them that is used.
    """
    places, sheet, y, x, row, height, width = [None] * len(sizes), 0, 0, 0, 0, CELL, CELL
    for number in sorted(range(len(sizes)), key=lambda number: sizes[number], reverse=True):
        tile_height, tile_width = (side + side % STRIDE for side in sizes[number])
        if x + tile_width > SHEET:
            y, x, row = y + row, 0, 0
        if y + tile_height > SHEET:
            sheet, y, x, row = sheet + 1, 0, 0, 0
        places[number] = sheet, y, x
        x, row = x + tile_width, max(row, tile_height)
        height, width = max(height, y + row), max(width, x)
    return places, sheet + 1 if sizes else 0, height, width
