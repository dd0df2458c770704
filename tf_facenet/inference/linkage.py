"""Average linkage of unit rows without a matrix of all distances: exact, in memory that grows with N, not N².

The mean squared distance between the rows of two clusters is 2 − 2 ⟨a, b⟩ of their means a and b, so a cluster is one
mean and one size. Two clusters that are each other's nearest are merged at once, wherever they are: by Lance and
Williams' formula a merged cluster is never nearer to a third than the nearer of its parts was, so that the order of
such merges does not matter (reducibility: Murtagh, The Computer Journal 26, 1983).
"""

import numpy as np

CHUNK = 1024  # clusters compared with all others at a time


def average_linkage(rows, limit):
    """Merge groups for as long as their rows are less than a distance apart in the mean.

    Args:
        rows: [N, D] of norm 1.
        limit: the mean is that of squared Euclidean distances; this is its root.

    Returns:
        int [N], equal for rows of one group.
    """
    rows, own, counts = np.unique(np.asarray(rows, np.float32), axis=0, return_inverse=True, return_counts=True)
    clusters = _Clusters(rows, counts, 1 - limit**2 / 2)
    todo = clusters.alive
    while len(todo):
        clusters.find_nearest(todo)
        merged = clusters.merge(*clusters.pairs())
        todo = clusters.next(todo, merged)
    return clusters.groups()[own.reshape(-1)]


class _Clusters:
    """N clusters on their way to fewer; a merged pair goes on under the first one's number.

    Attributes:
        means: [N, D] and sizes: [N].
        alive: numbers of the clusters that may still be merged.
        nearest: [N] the number of each one's nearest, and similarities: [N] the products of their means.
        is_known: [N] whether `nearest` still holds. Else `similarities` is an upper bound.
        parents: [N] whom it was merged with.
    """

    def __init__(self, rows, counts, least):
        self.means, self.sizes, self.least = rows, counts.astype(np.float32), least
        self.alive, self.parents = np.arange(len(rows)), np.arange(len(rows))
        self.nearest, self.similarities = np.zeros(len(rows), int), np.zeros(len(rows), np.float32)
        self.is_known = np.zeros(len(rows), bool)

    def find_nearest(self, numbers):
        """Find the nearest of some clusters; those that are too far from all others are finished."""
        others = self.means[self.alive].T
        for at in range(0, len(numbers), CHUNK):
            some = numbers[at:at + CHUNK]
            products = self.means[some] @ others
            products[self.alive == some[:, None]] = -np.inf
            best = products.argmax(axis=1)
            self.nearest[some], self.similarities[some] = self.alive[best], products[np.arange(len(some)), best]
        self.is_known[numbers] = True
        self.alive = self.alive[self.similarities[self.alive] > self.least]

    def pairs(self):
        """``(first, second)``, numbers of clusters that are each other's nearest."""
        known = self.alive[self.is_known[self.alive]]
        nearest = self.nearest[known]
        mutual = self.is_known[nearest] & (self.nearest[nearest] == known) & (known < nearest)
        if not mutual.any() and len(known) and len(known) == len(self.alive):
            # Rounding alone makes a circle: the products of equal distances differ in the last digit.
            mutual = self.similarities[known] == self.similarities[known].max()
            mutual &= np.cumsum(mutual) == 1
        return known[mutual], nearest[mutual]

    def merge(self, first, second):
        """Merge pairs; gives the numbers of the new clusters."""
        sizes = self.sizes[first] + self.sizes[second]
        share = (self.sizes[first] / sizes)[:, None]
        self.means[first] = share * self.means[first] + (1 - share) * self.means[second]
        self.sizes[first], self.parents[second] = sizes, first
        changed = np.zeros(len(self.sizes), bool)
        changed[second] = True
        self.alive = self.alive[~changed[self.alive]]
        changed[first] = True
        self.is_known[self.alive[changed[self.alive] | changed[self.nearest[self.alive]]]] = False
        return first

    def next(self, done, merged):
        """Whose nearest to find next: each chain of nearest ones leads on to a pair; after that all that lack it."""
        done = done[self.is_known[done]]
        ahead = np.unique(np.concatenate([merged, self.nearest[np.intersect1d(done, self.alive)]]))
        ahead = ahead[~self.is_known[ahead]]
        return ahead if len(ahead) else self.alive[~self.is_known[self.alive]]

    def groups(self):
        """The number of the cluster that each is part of in the end, [N]."""
        while (self.parents[self.parents] != self.parents).any():
            self.parents = self.parents[self.parents]
        return self.parents
