"""A training set in memory: where each image is and whom it shows.

The splits follow davidsandberg/facenet (src/facenet.py `split_dataset`; MIT). Deliberate
differences: no person is kept without a training image, the last person is not lost when people
are split, and the seed is an argument.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tf_facenet.data.samples import Samples


@dataclass(frozen=True, eq=False)
class Faces:
    """Images of people.

    Attributes:
        samples: [N] object, each a str path or the bytes of an encoded image; or `Samples` of such and of images in
            record files.
        labels: [N] int64, the person on each image, 0..C-1.
        names: [C] the people's names.
    """

    samples: np.ndarray | Samples
    labels: np.ndarray
    names: list[str]

    def __post_init__(self):
        if len(self.samples) != len(self.labels):
            raise ValueError(f"Faces got {len(self.samples)} samples and {len(self.labels)} "
                             "labels; expected one label for each sample.")
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.names):
            raise ValueError(f"Faces got labels from {self.labels.min()} to {self.labels.max()}; "
                             f"expected 0 to {len(self.names) - 1}, one for each name.")

    def __len__(self):
        return len(self.samples)

    @property
    def num_classes(self):
        """Number of people, C."""
        return len(self.names)

    @classmethod
    def join(cls, parts):
        """All images of several `Faces`, whose people count as different.

        The later of two equal names gets the first number that is free, "name (2)": sets that number
        their people use the same numbers for different ones.
        """
        shifts = np.cumsum([0] + [part.num_classes for part in parts[:-1]])
        labels = [part.labels + shift for part, shift in zip(parts, shifts, strict=True)]
        names, seen = {}, Counter()
        for name in (name for part in parts for name in part.names):
            free = name
            while free in names:
                seen[name] += 1
                free = f"{name} ({seen[name] + 1})"
            names[free] = None
        return cls(Samples.join([part.samples for part in parts]), np.concatenate(labels), list(names))

    def select(self, which):
        """Keep some images; people without any go, and the others are numbered anew.

        Args:
            which: mask [N] or indices, an array.
        """
        kept, labels = np.unique(self.labels[which], return_inverse=True)
        return Faces(self.samples[which], labels.astype(np.int64), [self.names[c] for c in kept])

    def with_min_images(self, minimum):
        """Keep the people with at least `minimum` images."""
        return self.select(self._counts()[self.labels] >= minimum)

    def split_images(self, ratio, min_images, seed):
        """Split each person's images at random (facenet's SPLIT_IMAGES).

        Of a person's n images floor(n (1 - ratio)) are for training, but at most n - 1. People
        with fewer than `min_images` training images, or with none, go from both parts.

        Returns:
            ``(training, validation)``, `Faces` of the same people.

        Raises:
            ValueError: the ratio is not between 0 and 1.
        """
        _check_ratio(ratio)
        counts = self._counts()
        training = np.minimum(np.floor(counts * (1 - ratio)).astype(int), counts - 1)
        kept = (training >= max(min_images, 1))[self.labels]
        chosen = self.random_ranks(seed) < training[self.labels]
        return self.select(kept & chosen), self.select(kept & ~chosen)

    def split_first(self, count, seed):
        """Split each person's images at random; `count` of them, or all if there are fewer, come first.

        Returns:
            ``(first, rest)``, `Faces`.
        """
        chosen = self.random_ranks(seed) < count
        return self.select(chosen), self.select(~chosen)

    def split_people(self, ratio, seed):
        """Split the people at random; `ratio` of them, at least one, are for validation.

        Returns:
            ``(training, validation)``, `Faces` of different people.

        Raises:
            ValueError: the ratio is not between 0 and 1, or there are fewer than two people.
        """
        _check_ratio(ratio)
        if self.num_classes < 2:
            raise ValueError(f"{self.num_classes} people cannot be split; expected at least two.")
        held_out = min(max(round(self.num_classes * ratio), 1), self.num_classes - 1)
        order = np.random.default_rng(seed).permutation(self.num_classes)
        chosen = np.isin(self.labels, order[held_out:])
        return self.select(chosen), self.select(~chosen)

    def _counts(self):
        return np.bincount(self.labels, minlength=self.num_classes)

    def random_ranks(self, seed):
        """Place of each image [N] in a random order of its person's images, from 0."""
        shuffled = np.random.default_rng(seed).permutation(len(self))
        order = shuffled[np.argsort(self.labels[shuffled], kind="stable")]
        counts = self._counts()
        firsts = np.cumsum(counts) - counts
        ranks = np.empty(len(self), int)
        ranks[order] = np.arange(len(self)) - firsts[self.labels[order]]
        return ranks


def _check_ratio(ratio):
    if not 0 < ratio < 1:
        raise ValueError(f"split ratio {ratio}: expected a number between 0 and 1, such as 0.05.")
