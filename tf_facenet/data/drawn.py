"""Faces drawn by the package: the training data of a machine that has none.

There are as many people as numbers, and as many pictures of each. A person keeps head, features,
skin and hair; pictures differ in pose, light, expression, covering, camera and background
(`drawn_traits`). Raw pixels hardly tell who is who, a small network does. Picture j of person k of
a seed has the same pixels on every machine; its JPEG bytes may differ between OpenCV's versions.
"""

import math

import cv2
import numpy as np

from tf_facenet.data.drawn_camera import picture
from tf_facenet.data.drawn_traits import raw_words
from tf_facenet.data.faces import Faces
from tf_facenet.data.pairs import Pairs, two_of

QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 90]
UNSEEN = 1_000_000  # first person of pairs: nobody trains on these people by default
LIMITS = {"people": (1, 10**7), "images": (1, 10**6), "size": (32, 1024),
          "seed": (0, 2**63 - 1), "first": (0, 2**62)}


def parse(description):
    """Keyword arguments of "drawn" or "drawn:people=400,images=20,size=112,seed=1,first=0".

    Raises:
        ValueError: an unknown name, or a value that is no integer or out of range.
    """
    settings = {}
    for part in filter(None, description.partition(":")[2].split(",")):
        name, _, value = part.partition("=")
        name = name.strip()
        if name not in LIMITS:
            raise ValueError(f"{description!r} sets {name!r}. Choose from: {', '.join(LIMITS)}, "
                             "as in 'drawn:people=400,images=20'.")
        try:
            settings[name] = int(value)
        except ValueError:
            raise ValueError(f"{description!r} sets {name} to {value!r}; expected an integer, "
                             f"such as {name}=100.") from None
    _check(**settings)
    return settings


def draw(people=200, images=20, size=112, seed=0, first=0):
    """A training set of the people `first` to `first + people - 1`.

    Returns:
        `Faces` whose samples are JPEG bytes of `size` x `size` pixels, person after person.

    Raises:
        ValueError: a number is out of range.
    """
    _check(people=people, images=images, size=size, seed=seed, first=first)
    labels = np.repeat(np.arange(people), images)
    samples = _encoded(first + labels, np.tile(np.arange(images), people), size, seed)
    return Faces(samples, labels.astype(np.int64), [person_name(first + k) for k in range(people)])


def draw_pairs(people=200, images=20, size=112, seed=0, first=UNSEEN, num_folds=10,
               pairs_per_fold=600):
    """Pairs to verify, half of them of one person; the people of different folds are different.

    Args:
        people: number of people, at least two for each fold.
        images: images of each person to choose from, at least two.
        size: see `draw`.
        seed: see `draw`.
        first: see `draw`.
        num_folds: number of folds, at least two.
        pairs_per_fold: at most so many; no pair comes twice, so few images allow fewer.

    Returns:
        `Pairs` of JPEG bytes; an image that is in several pairs is drawn once.

    Raises:
        ValueError: a number is out of range, or there are too few people or images.
    """
    _check(people=people, images=images, size=size, seed=seed, first=first)
    if num_folds < 2 or people < 2 * num_folds or images < 2 or pairs_per_fold < 2:
        raise ValueError(f"{num_folds} folds of {pairs_per_fold} drawn pairs from people={people}, "
                         f"images={images}; expected at least 2 folds, 2 pairs and 2 people in "
                         "each, and images=2.")
    starts = raw_words("pairs", 2 * num_folds, seed, first).reshape(num_folds, 2)
    rows, same, folds = [], [], []
    for fold, members in enumerate(np.array_split(np.arange(people), num_folds)):
        kinds = _fold_pairs(len(members), images, pairs_per_fold // 2, starts[fold])
        for pairs, is_same in zip(kinds, (True, False), strict=True):
            rows.append(pairs + members[0] * images)
            same += [is_same] * len(pairs)
            folds += [fold] * len(pairs)
    used, rows = np.unique(np.concatenate(rows), return_inverse=True)
    samples = _encoded(first + used // images, used % images, size, seed)
    return Pairs(samples[rows.ravel()], np.array(same), np.array(folds), [], drawn=True)


def draw_images(identities, variants, size=112, seed=0):
    """Picture `variants[i]` of person `identities[i]`: uint8 RGB [n, size, size, 3]."""
    images = np.empty((len(identities), size, size, 3), np.uint8)
    for row, (identity, variant) in enumerate(zip(identities, variants, strict=True)):
        images[row] = picture(seed, int(identity), int(variant), size)
    return images


def sheet(people=6, images=10, size=112, seed=0, first=0):
    """A page to look at, each row a person: uint8 RGB [people * size, images * size, 3]."""
    _check(people=people, images=images, size=size, seed=seed, first=first)
    variants = np.tile(np.arange(images), people)
    drawn = draw_images(first + np.repeat(np.arange(people), images), variants, size, seed)
    rows = drawn.reshape(people, images, size, size, 3).swapaxes(1, 2)
    return rows.reshape(people * size, images * size, 3)


def person_name(identity):
    """Class name of a person's number, such as person_000017."""
    return f"person_{identity:06d}"


def _check(**settings):
    for name, value in settings.items():
        least, most = LIMITS[name]
        if not least <= value <= most:
            raise ValueError(f"drawn faces with {name}={value}; expected {name} to be from {least} "
                             f"to {most}.")


def _encoded(identities, variants, size, seed):
    """JPEG bytes [n] object of the pictures, one picture in memory at a time."""
    samples = np.empty(len(identities), object)
    rows = zip(identities.tolist(), variants.tolist(), strict=True)
    for row, (identity, variant) in enumerate(rows):
        image = picture(seed, identity, variant, size)
        samples[row] = cv2.imencode(".jpg", image[:, :, ::-1], QUALITY)[1].tobytes()
    return samples


def _fold_pairs(people, images, wanted, starts):
    """Same pairs and different pairs [k, 2] of one fold, as person * images + picture."""
    total = people * images * (images - 1) // 2
    same = _spread(total, min(wanted, total), starts[0])
    person, pictures = same % people, two_of(same // people)
    total = people * (people - 1) // 2 * images**2
    different = _spread(total, min(wanted, len(same)), starts[1])
    persons, chosen = two_of(different // images**2), different % images**2
    chosen = np.stack([chosen // images, chosen % images], axis=1)
    return person[:, None] * images + pictures, persons * images + chosen


def _spread(total, count, start):
    """`count` different numbers below `total`, by steps of its golden section around a circle."""
    step = max(round(total * 0.618), 1)
    while math.gcd(step, total) > 1:
        step += 1
    return (int(start) % total + step * np.arange(count)) % total

