"""Face verification of pairs: `evaluate` runs the protocol, `verify` embeds before, `Report` says how it went.

This is the only implementation of the protocol; training, the scripts and the tests call it. The
formulas, their source and the differences to facenet are in `metrics`.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from tf_facenet.evaluation import metrics, rates

ROC_POINTS = 200  # kept by to_json


@dataclass(frozen=True, eq=False)
class Report:
    """What `evaluate` measured. Thresholds are in the units of the distance.

    Attributes:
        distance: "squared-L2" or "cosine" (the angle as a share of 180 degrees).
        accuracy: mean over the folds, and accuracy_std its population standard deviation.
        val: share of same pairs accepted at the target FAR, mean over the folds; val_std.
        far: false accept rate met inside the folds at that threshold, mean over the folds.
        target_far: the false accept rate that was asked for.
        false_accepts: `rates.FalseAccepts` of all pairs at `far_threshold`.
        auc: area under the mean ROC.
        eer: equal error rate of the mean ROC.
        threshold: mean of the folds' accuracy thresholds; a pair below it is the same person.
        far_threshold: mean of the folds' thresholds at the target FAR.
        fold_accuracies: [F].
        roc: (fpr [T], tpr [T]), mean over the folds at thresholds 0, 0.01, ...
        distances: [P], each pair as its own fold sees it.
        same: [P] bool.
        alone: (threshold, its `rates.FalseAccepts`) for two images on their own, from which no mean is subtracted.
        quality: [P] smaller norm of the features of a pair's two images; None if it is not known.
        flip: that of the embeddings, whose rows have norm √2 with "concat"; None if it is not known.
        drawn: whether the faces were drawn by this package.
    """

    distance: str
    accuracy: float
    accuracy_std: float
    val: float
    val_std: float
    far: float
    target_far: float
    false_accepts: rates.FalseAccepts
    auc: float
    eer: float
    threshold: float
    far_threshold: float
    fold_accuracies: np.ndarray
    roc: tuple[np.ndarray, np.ndarray]
    distances: np.ndarray
    same: np.ndarray
    alone: tuple[float, rates.FalseAccepts]
    quality: np.ndarray | None = None
    flip: str | None = None
    drawn: bool = False

    @property
    def shows_target(self):
        """Whether there are enough pairs of different people for the target FAR."""
        return rates.can_show(self.false_accepts.pairs, self.target_far)

    def of_all_pairs(self):
        """What all pairs say of the target FAR, a sentence."""
        if self.shows_target:
            said = f"At the threshold for FAR {self.target_far:g}: {self.false_accepts}"
        else:
            said = rates.limit(self.false_accepts.pairs, self.target_far)
        return said + "; the faces are drawn" * self.drawn

    def lines(self):
        """The result in facenet's words, one string a line."""
        return [
            f"Accuracy: {self.accuracy:2.5f}+-{self.accuracy_std:2.5f}",
            f"Validation rate: {self.val:2.5f}+-{self.val_std:2.5f} @ FAR={self.far:2.5f}",
            f"Area Under Curve (AUC): {self.auc:1.3f}",
            f"Equal Error Rate (EER): {self.eer:1.3f}",
        ]

    def to_json(self):
        """Plain dict of numbers, strings and short lists; the ROC is thinned, pairs left out."""
        result = {name: value for name, value in vars(self).items() if np.isscalar(value)}
        points = np.unique(np.stack(self.roc, axis=1), axis=0)  # in order, as both rates rise
        kept = np.linspace(0, len(points) - 1, min(len(points), ROC_POINTS)).round().astype(int)
        fpr, tpr = points[kept].T.tolist()
        return result | {
            "num_pairs": len(self.same),
            "different_pairs": self.false_accepts.pairs,
            "false_accepts": self.false_accepts.accepted,
            "far_interval": self.false_accepts.interval,
            "smallest_far": rates.smallest_far(self.false_accepts.pairs),
            "fold_accuracies": self.fold_accuracies.tolist(),
            "roc": {"fpr": fpr, "tpr": tpr},
        }


def verify(embedder, pairs, flip, progress=None, **protocol):
    """Embed the images of pairs and evaluate them.

    Args:
        embedder: `inference.Embedder`.
        pairs: `data.pairs.Pairs`.
        flip: "none", "concat" (facenet) or "sum" (insightface).
        progress: see `Embedder.embed`.
        protocol: other arguments of `evaluate`.

    Returns:
        Report.

    Raises:
        OSError: images cannot be read; the message names the set and them.
        ValueError: see `evaluate`.
    """
    try:
        embeddings, norms = embedder.embed(pairs.images, flip, progress, quality=True)
    except OSError as error:
        raise OSError(f"Verification set {pairs.name}: {error}") from error
    report = evaluate(embeddings, pairs.same, folds=pairs.folds, **protocol)
    return dataclasses.replace(report, quality=norms.reshape(-1, 2).min(axis=1), flip=flip, drawn=pairs.drawn)


def choose_threshold(rows, same, far):
    """The largest threshold of squared distances whose false accept rate on all pairs is at most a given one.

    Args:
        rows: [2P, D], rows 2i and 2i + 1 are pair i.
        same: [P], whether the pair shows one person.
        far: false accept rate, 0 to below 1; below that of one pair none is accepted.

    Returns:
        ``(threshold, true_accept_rate, false_accepts)``: the last is a `rates.FalseAccepts`.

    Raises:
        ValueError: see `evaluate`.
    """
    rows, same, _ = _checked_pairs(rows, same)
    distances = metrics.pair_distances(rows)[0]
    threshold = metrics.threshold_at(distances, same, far)
    return threshold, float((distances[same] < threshold).mean()), metrics.false_accepts(distances, same, threshold)


def evaluate(
    embeddings,
    same,
    num_folds=10,
    distance="squared-L2",
    subtract_mean=False,
    target_far=1e-3,
    folds=None,
):
    """Verify pairs by k-fold cross validation (LFW's protocol, as facenet runs it).

    A fold may lack same or different pairs; it is then left out of the mean of the rate that it
    does not define.

    Args:
        embeddings: [2P, D], rows 2i and 2i + 1 are pair i.
        same: [P], whether the pair shows one person.
        num_folds: number of contiguous folds, of scikit-learn's KFold sizes.
        distance: "squared-L2" or "cosine".
        subtract_mean: subtract, for each fold, the mean embedding of the other folds' pairs; it
            only changes "cosine".
        target_far: false accept rate of the validation rate, 0 <= target_far < 1.
        folds: [P] fold of each pair instead of num_folds contiguous ones; a fold that has lost all
            its pairs does not count.

    Returns:
        Report.

    Raises:
        ValueError: shapes do not match, embeddings are not finite, the distance is unknown, all
            pairs are same or all different, or there are fewer than two folds or too few pairs.
    """
    embeddings, same, largest = _checked_pairs(embeddings, same)
    if not 0 <= target_far < 1:
        raise ValueError(f"target_far must lie in [0, 1), got {target_far}; facenet's is 0.001.")
    folds = _fold_of_each_pair(folds, num_folds, len(same))
    means = metrics.training_means(embeddings, folds) if subtract_mean else None
    distances = metrics.pair_distances(embeddings, distance, means)
    scale = metrics.grid_scale(distance, largest)

    grid = metrics.threshold_grid(metrics.ACCURACY_STEP, distances.max(), scale)
    counts = metrics.count_accepted(distances, same, folds, grid)
    accuracies, thresholds = metrics.fold_accuracies(counts, grid)
    fpr, tpr = metrics.mean_roc(counts)

    grid = metrics.threshold_grid(metrics.VAL_STEP, distances.max(), scale)
    counts = metrics.count_accepted(distances, same, folds, grid)
    far_thresholds = metrics.far_thresholds(counts, grid, target_far)
    own = distances[folds % len(distances), np.arange(len(folds))]
    val, far = metrics.rates_at(own, same, folds, far_thresholds)
    threshold, far_threshold = float(thresholds.mean()), float(far_thresholds.mean())
    alone = threshold, metrics.false_accepts(own, same, threshold)
    if subtract_mean:
        alone = evaluate(embeddings, same, distance=distance, target_far=target_far, folds=folds).alone

    return Report(
        distance=distance,
        accuracy=float(accuracies.mean()),
        accuracy_std=float(accuracies.std()),
        val=float(np.nanmean(val)),
        val_std=float(np.nanstd(val)),
        far=float(np.nanmean(far)),
        target_far=float(target_far),
        false_accepts=metrics.false_accepts(own, same, far_threshold),
        auc=metrics.area_under_curve(fpr, tpr),
        eer=metrics.equal_error_rate(fpr, tpr),
        threshold=threshold,
        far_threshold=far_threshold,
        fold_accuracies=accuracies,
        roc=(fpr, tpr),
        distances=own,
        same=same,
        alone=alone,
    )


def _checked_pairs(embeddings, same):
    """Both as arrays, and the largest squared norm of a row; or ValueError."""
    embeddings, same = np.asarray(embeddings), np.asarray(same).astype(bool)
    if embeddings.ndim != 2 or len(embeddings) % 2 or same.shape != (len(embeddings) // 2,):
        raise ValueError(
            f"embeddings must be [2P, D], two rows for each pair, and same [P]; got shapes "
            f"{embeddings.shape} and {same.shape}. Embed both images of every pair, one pair after "
            f"the other."
        )
    norms = metrics.squared_norms(embeddings)
    bad = np.flatnonzero(~np.isfinite(norms))
    if len(bad):
        raise ValueError(
            f"{len(bad)} of {len(embeddings)} embeddings hold NaN or infinity, the first is row {bad[0]} "
            f"(of pair {bad[0] // 2}, counted from 0). The network has diverged or its input is not finite: lower "
            f"the learning rate or check the images."
        )
    if same.all() or not same.any():
        raise ValueError(
            f"All {len(same)} pairs are {'same' if same.any() else 'different'}; verification "
            f"needs both kinds. Add pairs of the other kind to the pairs file."
        )
    return embeddings, same, norms.max()


def _fold_of_each_pair(folds, num_folds, num_pairs):
    """Fold numbers [P] that count from 0 without gaps, or ValueError."""
    if folds is None:
        if not 2 <= num_folds <= num_pairs:
            raise ValueError(
                f"{num_pairs} pairs cannot be split into {num_folds} folds. Choose from 2 to "
                f"{num_pairs} folds or give more pairs."
            )
        return np.sort(np.arange(num_pairs) % num_folds)  # contiguous, larger folds first
    folds = np.asarray(folds)
    if folds.shape != (num_pairs,):
        raise ValueError(
            f"folds must name the fold of each of the {num_pairs} pairs, got shape {folds.shape}."
        )
    numbers, folds = np.unique(folds, return_inverse=True)
    if len(numbers) < 2:
        raise ValueError(
            f"All pairs are in fold {numbers[0]}; the threshold for a fold comes from the others. "
            f"Give at least two folds."
        )
    return folds
