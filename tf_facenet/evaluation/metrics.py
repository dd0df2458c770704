"""The measures of face verification: distances of pairs and LFW's k-fold protocol, NumPy only.

The protocol is the one of LFW (Huang et al., UMass Amherst TR 07-49, 2007) as davidsandberg/facenet
computes it (src/facenet.py `calculate_roc` and `calculate_val`, src/lfw.py `evaluate`; MIT): a pair
is accepted when its distance is strictly below a threshold; each fold is tested at the threshold
that is best on the other folds. Deliberate differences:

- The threshold grids have facenet's steps, but go on past the farthest pair instead of ending at
  3.99, and are finer for rows far below norm 1, so that embeddings of any norm have a complete ROC,
  an AUC and an EER.
- The threshold of VAL@FAR interpolates after the last grid point whose FAR is within the target.
  facenet sorted the FARs unstably, which made its VAL an arbitrary number.
- A fold that lacks same or different pairs has an undefined rate (NaN) and is left out of that
  rate's mean, where facenet divides by zero.
- cos is clipped to [-1, 1]; a vector of norm 0 is orthogonal to everything.

Letters: P pairs, D dimensions, F folds, T thresholds, M means subtracted in turn (F or 1).
Everywhere rows 2i and 2i + 1 of the embeddings [2P, D] are pair i, and folds [P] counts from 0.
"""

import math

import numpy as np

from tf_facenet.evaluation import rates
from tf_facenet.lookup import lookup

ACCURACY_STEP = 0.01
VAL_STEP = 0.001
CHUNK_VALUES = 2**18  # values turned into float64 at a time: 2 MB for each side of the pairs


def pair_distances(embeddings, distance="squared-L2", means=None):
    """Distances of the pairs after subtraction of each of several means.

    Args:
        embeddings: [2P, D] of any float type.
        distance: "squared-L2", or "cosine" for the angle as a share of 180 degrees,
            arccos(cos(a, b)) / pi.
        means: [M, D] float64, or None to subtract nothing.

    Returns:
        [M, P] float64; [1, P] without means, and for "squared-L2", which a mean does not change.

    Raises:
        ValueError: the distance is unknown.
    """
    measure = lookup(DISTANCES, distance, "distance")
    if means is None:
        means = np.zeros((1, embeddings.shape[1]))
    parts = [measure(a, b, means) for _, a, b in _chunks(embeddings)]
    return np.concatenate(parts, axis=1)


def _squared_l2(a, b, means):
    """‖a − b‖² [1, n]: a mean subtracted from both sides cancels."""
    difference = a - b
    return np.einsum("nd,nd->n", difference, difference)[None]


def _angular(a, b, means):
    """arccos(cos(a − m, b − m)) / π [M, n] for each mean m.

    The products are multiplied out, (a − m)·(b − m) = a·b − a·m − b·m + m·m, so that one pass over
    the pairs serves all means.
    """
    # einsum, as products of so few rows lose to the threads that BLAS starts on a busy machine
    am, bm = np.einsum("md,nd->mn", means, a), np.einsum("md,nd->mn", means, b)
    mm = np.einsum("md,md->m", means, means)[:, None]
    dot = np.einsum("nd,nd->n", a, b) - am - bm + mm
    norm_a, norm_b = (
        np.sqrt(np.maximum(np.einsum("nd,nd->n", side, side) - 2 * sm + mm, 0))
        for side, sm in ((a, am), (b, bm))
    )
    norms = norm_a * norm_b
    cosine = np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0)
    return np.arccos(np.clip(cosine, -1, 1)) / math.pi


DISTANCES = {"squared-L2": _squared_l2, "cosine": _angular}
FACENET_DISTANCES = ("squared-L2", "cosine")  # by the number that facenet's --distance_metric has


def _chunks(embeddings):
    """Yield (slice of the pairs, a [n, D], b [n, D]) in float64, never a copy of the whole."""
    rows = max(1, CHUNK_VALUES // max(1, embeddings.shape[1]))
    for start in range(0, len(embeddings) // 2, rows):
        part = slice(start, start + rows)
        yield part, *(embeddings[side::2][part].astype(np.float64) for side in (0, 1))


def squared_norms(embeddings):
    """‖row‖² [2P] of embeddings [2P, D]: not finite where a row holds NaN or infinity, or where it overflows."""
    norms = np.empty((len(embeddings) // 2, 2))
    with np.errstate(over="ignore", invalid="ignore"):
        for part, *sides in _chunks(embeddings):
            for side, rows in enumerate(sides):
                norms[part, side] = np.einsum("nd,nd->n", rows, rows)
    return norms.ravel()


def training_means(embeddings, folds):
    """Mean embedding [F, D] of the pairs outside each fold, both sides of a pair counted."""
    sums = np.zeros((folds.max() + 1, embeddings.shape[1]))
    for part, a, b in _chunks(embeddings):
        both = a + b
        for fold in np.unique(folds[part]):
            sums[fold] += both[folds[part] == fold].sum(axis=0)
    outside = len(folds) - np.bincount(folds)
    return (sums.sum(axis=0) - sums) / (2 * outside[:, None])


def grid_scale(distance, largest):
    """What the steps of the threshold grids are multiplied with, for embeddings of a largest squared norm.

    Squared distances of rows shorter than unit rows are smaller as their squared norms are: a power
    of two that is near those, so that it is 1, and the grid facenet's, up to the rounding of unit
    rows. Angles do not depend on the norm.
    """
    if distance != "squared-L2" or largest < 1e-60:  # below: as good as 0
        return 1.0
    return 2.0 ** min(0, round(math.log2(largest)))


def threshold_grid(step, farthest, scale=1.0):
    """Thresholds [T] from 0 in equal steps to past the farthest distance, and at least to 4 times the scale.

    Beyond a distance of 100, which no embedding near unit norm reaches, the step grows with the
    range, so that the grid stays small.

    Args:
        step: facenet's.
        farthest: the largest distance.
        scale: see `grid_scale`.
    """
    wanted = round(4 / step)
    step *= scale * max(1, math.ceil(farthest / 100))
    beyond = math.floor(farthest / step) + 3  # one to spare for the rounding of the division
    return np.arange(max(wanted, beyond)) * step


def count_accepted(distances, same, folds, grid):
    """Count the pairs that each threshold accepts, without comparing pairs × thresholds.

    Args:
        distances: [F, P] (row k: as fold k sees them) or [1, P].
        same: [P] bool.
        folds: [P] int.
        grid: [T] from `threshold_grid`; its last threshold accepts every pair.

    Returns:
        [F, 2, 2, T] int: per fold, outside (0) and inside (1) it, different (0) and same (1)
        pairs whose distance is strictly below the threshold. The last column is the group's size.
    """
    first = np.searchsorted(grid, distances, side="right")  # the first threshold that accepts
    num_folds, size = folds.max() + 1, len(grid)
    counts = np.empty((num_folds, 2, 2, size), np.int64)
    for fold, row in enumerate(np.broadcast_to(first, (num_folds, len(folds)))):
        group = 2 * (folds == fold) + same
        histogram = np.bincount(group * size + row, minlength=4 * size)
        histogram.reshape(2, 2, size).cumsum(axis=-1, out=counts[fold])
    return counts


def fold_accuracies(counts, grid):
    """Accuracy [F] inside each fold at the threshold [F] that is best outside it.

    Of equally good thresholds the smallest is taken, as facenet does.
    """
    different, same = counts[:, :, 0], counts[:, :, 1]
    right = same + different[..., -1:] - different
    best = right[:, 0].argmax(axis=-1)
    sizes = counts[:, 1, :, -1].sum(axis=-1)
    return right[np.arange(len(best)), 1, best] / sizes, grid[best]


def mean_roc(counts):
    """Rates fpr [T] and tpr [T] inside the folds, averaged over the folds that define them."""
    inside = counts[:, 1]
    fpr, tpr = np.nanmean(_share(inside, inside[..., -1:]), axis=0)
    return fpr, tpr


def far_thresholds(counts, grid, target_far):
    """Threshold [F] at which the pairs outside each fold have a false accept rate of target_far.

    It lies a linear step after the last grid point with FAR ≤ target_far, and is 0, which accepts
    nothing, when there are no different pairs outside the fold.
    """
    outside = counts[:, 0, 0]
    far = _share(outside, outside[:, -1:])
    last = np.maximum(np.count_nonzero(far <= target_far, axis=-1) - 1, 0)
    folds = np.arange(len(far))
    here, there = far[folds, last], far[folds, last + 1]
    step = grid[last + 1] - grid[last]
    return np.nan_to_num(grid[last] + step * (target_far - here) / (there - here))


def threshold_at(distances, same, far):
    """The largest threshold that accepts at most a share of all different pairs.

    It lies halfway between the nearest pair that it must not accept and the farthest that it does,
    so that rounding changes neither.

    Args:
        distances: [P].
        same: [P] bool.
        far: the share, 0 to below 1.
    """
    different = np.sort(distances[~same])
    nearest = different[rates.allowed(len(different), far)]
    return float((distances[distances < nearest].max(initial=0) + nearest) / 2)


def false_accepts(distances, same, threshold):
    """`rates.FalseAccepts` of pairs [P] at a threshold."""
    different = distances[~same]
    return rates.FalseAccepts(int(np.count_nonzero(different < threshold)), len(different))


def rates_at(distances, same, folds, thresholds):
    """Shares (of same pairs [F], of different pairs [F]) accepted inside each fold.

    Args:
        distances: [P], each as its own fold sees it.
        same: [P] bool.
        folds: [P] int.
        thresholds: [F], one a fold.
    """
    accepted = distances < thresholds[folds]
    size = len(thresholds)
    of_same, of_different = (
        _share(
            np.bincount(folds[chosen & accepted], minlength=size),
            np.bincount(folds[chosen], minlength=size),
        )
        for chosen in (same, ~same)
    )
    return of_same, of_different


def area_under_curve(fpr, tpr):
    """Area under the ROC by the trapezoid rule."""
    return float(np.trapezoid(tpr, fpr))


def equal_error_rate(fpr, tpr):
    """False accept rate where it equals the false reject rate, on the ROC's straight segments.

    facenet solves 1 − x − tpr(x) = 0; along the thresholds that difference falls from 1 to −1.
    """
    gap = 1 - fpr - tpr
    after = int(np.argmax(gap <= 0))
    before = after - 1
    share = gap[before] / (gap[before] - gap[after])
    return float(fpr[before] + share * (fpr[after] - fpr[before]))


def _share(part, whole):
    """The quotient, NaN where the whole is 0."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
