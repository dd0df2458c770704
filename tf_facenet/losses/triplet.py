"""Triplet losses: an anchor nearer to its own person than to others, by a margin."""

from collections.abc import Callable
from typing import NamedTuple

from keras import ops

from tf_facenet.lookup import lookup
from tf_facenet.losses.distances import DISTANCES

FAR = 1e30  # farther than any distance, and finite: no infinity meets a gradient


class Ramp(NamedTuple):
    """The cost h of a triplet: ``value(x)``, x = D_ap − D_an + margin, with ``slope`` its derivative."""

    value: Callable
    slope: Callable
    margin: float
    has_end: bool  # whether h and h' are 0 below x = 0


HINGE = Ramp(ops.relu, lambda x: ops.cast(x > 0, "float32"), margin=0.2, has_end=True)
SOFTPLUS = Ramp(ops.softplus, ops.sigmoid, margin=0.0, has_end=False)


class TripletLoss:
    """Mean of h(D_ap − D_an) over triplets of anchor a, positive p and negative n.

    h(x) = max(x + margin, 0), or with ``soft`` log(1 + eˣ), which has no margin. The triplets:

    - ``"semi_hard"``: every ordered pair a, p of one person; n is the nearest that is farther than
      p, or the farthest if none is (FaceNet, Schroff et al. 2015, as tensorflow-addons has it).
    - ``"hard"``: every row is an anchor; p is its farthest positive, n its nearest negative
      (batch hard, Hermans et al. 2017). D_ap of an anchor without positive counts as 0.
    - ``"all"``: every a, p, n; the mean is over the active ones, those with h > 0 (batch all,
      Hermans et al. 2017). With ``soft`` all are active.
    - ``None`` or ``"none"``: the rows are a, p, n, a, p, n … as facenet feeds them; the mean is over
      these triplets and the labels are not looked at.

    Embeddings are expected L2-normalised, as facenet and tensorflow-addons expect them; the loss
    does not normalise (``"angular"`` does by its definition). Values and gradients of semi_hard and
    hard are those of tensorflow-addons 0.23 (``TripletSemiHardLoss``, ``TripletHardLoss``; its
    margin defaults to 1 and its distance to L2), except that a batch without a positive or without
    a negative pair costs 0, where it gives NaN or a constant.

    Memory is that of a few [B, B] matrices. Semi-hard and all take time B² · (rows of the most
    frequent person).

    Call: labels [B] of integers, embeddings [B, D] → scalar, float32.

    Args:
        margin: > 0, in units of the distance.
        mining: name of an entry of MININGS, or None.
        distance: name of an entry of DISTANCES.
        soft: softplus instead of hinge.

    Raises:
        ValueError: a margin not above 0, an unknown mining or distance.
    """

    def __init__(self, margin=0.2, mining="semi_hard", distance="squared-L2", soft=False):
        if not margin > 0:
            raise ValueError(f"margin is {margin!r}; it must be above 0, or all embeddings in one point cost "
                             "nothing. facenet's is 0.2.")
        self.mine = lookup(MININGS, "none" if mining is None else mining, "mining")
        self.distance = lookup(DISTANCES, distance, "distance")
        self.ramp = SOFTPLUS if soft else HINGE._replace(margin=float(margin))

    def __call__(self, labels, embeddings):
        return self.with_statistics(labels, embeddings)[0]

    def with_statistics(self, labels, embeddings):
        """The loss, and what shows a collapse of all embeddings into one point.

        Returns:
            loss, {"active_share", "positive_distance", "negative_distance"}, scalars without
            gradient: the share of the mined triplets that are active (with ``soft`` the mean of h'),
            and the mean distances of the batch's positive and negative pairs (0 if there are none).
            After a collapse both distances are near 0 and the share is near 1 (with ``soft`` 0.5).
        """
        loss, statistics = self.mine(labels, ops.cast(embeddings, "float32"), self.distance, self.ramp)
        return loss, {name: ops.stop_gradient(value) for name, value in statistics.items()}


def given(labels, embeddings, distance, ramp):
    """Rows a, p, n, a, p, n …: mean of h (facenet.py ``triplet_loss``). Labels are not used."""
    size, width = embeddings.shape
    if size is not None and size % 3:
        raise ValueError(f"mining None got {size} rows; it needs rows a, p, n, a, p, n …, a multiple of 3.")
    distances = distance(ops.reshape(embeddings, (-1, 3, width)))
    near, far = distances[:, 0, 1], distances[:, 0, 2]
    x = near - far + ramp.margin
    return ops.mean(ramp.value(x)), _statistics(ops.mean(ramp.slope(x)), ops.mean(near), ops.mean(far))


def hard(labels, embeddings, distance, ramp):
    """Mean over rows of h(farthest positive − nearest negative)."""
    distances = distance(embeddings)
    positive, negative = pair_masks(labels)
    near = ops.max(ops.where(positive, distances, 0.0), axis=1)
    far = ops.min(ops.where(negative, distances, FAR), axis=1)
    x = near - far + ramp.margin
    defined = ops.cast(ops.any(positive), "float32")
    active_share = defined * ops.mean(ramp.slope(x))
    return defined * ops.mean(ramp.value(x)), _pair_statistics(active_share, distances, positive, negative)


def semi_hard(labels, embeddings, distance, ramp):
    """Mean over ordered positive pairs of h(D_ap − D_an), n the nearest negative behind p."""
    distances = distance(embeddings)
    positive, negative = pair_masks(labels)
    others = ops.stop_gradient(ops.where(negative, distances, FAR))
    farthest = ops.max(ops.where(negative, ops.stop_gradient(distances), -FAR), axis=1)
    farthest = ops.where(farthest < 0, FAR, farthest)  # no negative: no triplet is active

    def triplets(near):
        behind = ops.min(ops.where(others > near[:, None], others, FAR), axis=1)
        behind = ops.where(behind < FAR, behind, farthest)
        x = near - behind + ramp.margin
        # Negatives at the same distance share the gradient, as the minimum's gradient does.
        chosen = ops.cast(others == behind[:, None], "float32")
        slope = ramp.slope(x)
        share = slope / ops.maximum(ops.sum(chosen, axis=1), 1.0)
        return ramp.value(x), slope, share[:, None] * chosen

    total, slopes = _over_positives(labels, distances, triplets)
    pairs = ops.maximum(_count(positive), 1.0)
    loss = _with_slopes(total / pairs, slopes / pairs, distances)
    active = ops.sum(ops.where(positive, slopes, 0.0))
    return loss, _pair_statistics(active / pairs, distances, positive, negative)


def batch_all(labels, embeddings, distance, ramp):
    """Sum of h over all triplets, by the number of active ones (with softplus: of all)."""
    distances = distance(embeddings)
    positive, negative = pair_masks(labels)
    others = ops.stop_gradient(ops.where(negative, distances, FAR))

    def triplets(near):
        x = near[:, None] - others + ramp.margin
        slope = ramp.slope(x)
        return ops.sum(ramp.value(x), axis=1), ops.sum(slope, axis=1), slope

    total, slopes = _over_positives(labels, distances, triplets)
    triplets_in_all = ops.maximum(ops.sum(_count(positive, axis=1) * _count(negative, axis=1)), 1.0)
    active = ops.sum(ops.where(positive, slopes, 0.0))
    divisor = ops.maximum(active, 1.0) if ramp.has_end else triplets_in_all
    loss = _with_slopes(total / divisor, slopes / divisor, distances)
    return loss, _pair_statistics(active / triplets_in_all, distances, positive, negative)


MININGS = {"semi_hard": semi_hard, "hard": hard, "all": batch_all, "none": given}


def pair_masks(labels):
    """Pairs of one person and of two: labels [B] → positive, negative [B, B]; no row is its own pair."""
    labels = ops.reshape(labels, (-1,))
    same = labels[:, None] == labels[None, :]
    itself = ops.cast(ops.eye(ops.shape(labels)[0]), "bool")
    return ops.logical_and(same, ops.logical_not(itself)), ops.logical_not(same)


def _over_positives(labels, distances, triplets):
    """Sum over all ordered positive pairs, the k-th positive of every anchor in turn.

    A tensor of all triplets would be [B, B, B]; this never holds more than a few [B, B], because
    the derivative is summed along with the value instead of being taken afterwards.

    Args:
        labels: [B].
        distances: [B, B].
        triplets: function of the anchors' distances to their k-th positives [B] (-FAR where an
            anchor has none) → sum of h [B], of h' [B], and h' for each negative [B, B].

    Returns:
        sum of h (scalar), its derivative with respect to the distances [B, B]; no gradient.
    """
    distances = ops.stop_gradient(distances)
    mate, most = _mates(labels)
    rows = ops.arange(ops.shape(distances)[0])

    def add(k, sums):
        total, slopes = sums
        columns, there = mate(k)
        columns = ops.where(there, columns, rows)
        near = ops.take_along_axis(distances, columns[:, None], axis=1)[:, 0]
        value, pull, push = triplets(ops.where(there, near, -FAR))
        slopes = ops.scatter_update(slopes - push, ops.stack([rows, columns], axis=1), pull)
        return total + value, slopes

    total, slopes = ops.fori_loop(1, most, add, (ops.zeros_like(distances[:, 0]), ops.zeros_like(distances)))
    return ops.stop_gradient(ops.sum(total)), ops.stop_gradient(slopes)


def _mates(labels):
    """The k-th other row of each row's class, k = 1, 2 …, and the size of the largest class.

    Returns:
        function k → rows [B], whether there is a k-th [B]; scalar.
    """
    labels = ops.reshape(labels, (-1,))
    order = ops.argsort(labels)
    ordered = ops.take(labels, order)
    first, end = (ops.cast(ops.searchsorted(ordered, labels, side=side), "int32") for side in ("left", "right"))
    count = end - first
    place = ops.argsort(order) - first

    def mate(k):
        return ops.take(order, first + (place + k) % count), k < count

    return mate, ops.max(count)


def _with_slopes(value, slopes, distances):
    """A scalar of this value whose derivative with respect to the distances is ``slopes``."""
    return value + ops.sum(slopes * (distances - ops.stop_gradient(distances)))


def _count(mask, axis=None):
    return ops.sum(ops.cast(mask, "float32"), axis=axis)


def _pair_statistics(active_share, distances, positive, negative):
    def mean(mask):
        return ops.sum(ops.where(mask, distances, 0.0)) / ops.maximum(_count(mask), 1.0)

    return _statistics(active_share, mean(positive), mean(negative))


def _statistics(active_share, positive_distance, negative_distance):
    return {"active_share": active_share, "positive_distance": positive_distance,
            "negative_distance": negative_distance}
