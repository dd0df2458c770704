"""Faces of photographs, of any number and size."""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a photograph.

    Attributes:
        faces: list of (face, box) that `Recipe.cut` gave.
        reason: why there are none, or "".
        readable: whether it is an image that can be decoded.
    """

    faces: list
    reason: str = ""
    readable: bool = True


def faces(parts, recipe, detector):
    """Find and cut out the faces of photographs.

    Args:
        parts: lists of pictures as `data.few_at_once.decoded` yields them; each is given up before the next is taken.
        recipe: `recipe.Recipe`.
        detector: `detect.Detector`.

    Yields:
        `Outcome` of each picture, in order.
    """
    for outcomes in map(lambda pictures: _outcomes(pictures, recipe, detector), parts):
        yield from outcomes


def _outcomes(pictures, recipe, detector):
    found = iter(detector([picture for picture in pictures if not isinstance(picture, str)]))
    return [Outcome([], picture, readable=False) if isinstance(picture, str) else _cut(picture, next(found), recipe)
            for picture in pictures]


def _cut(picture, found, recipe):
    try:
        return Outcome(recipe.cut(picture, found))
    except ValueError as error:
        return Outcome([], str(error))
