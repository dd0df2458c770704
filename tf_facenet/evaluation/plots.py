"""Pictures of a verification and of a training run, as PNG files or, for pages, as SVG.

Figures are made without pyplot, so that no window, backend or global state is touched.
"""

import io
from pathlib import Path

import cv2
import matplotlib
import numpy as np

from tf_facenet.data import images as image_files

UNITS = {"squared-L2": "squared Euclidean distance", "cosine": "angle between embeddings / 180°"}
SAME, DIFFERENT, NEUTRAL = "#2166ac", "#d6604d", "#444444"

# Title, axis label, and the word that columns of the panel have in their name; a column goes to
# the first panel whose word it has.
PANELS = (
    ("LFW verification", "share of pairs", "lfw"),
    ("Loss", "mean per example", "loss"),
    ("Accuracy", "share of examples", "accuracy"),
    ("Learning rate", "per step", "learning_rate"),
)


def unit(report):
    """What the distances of a report are."""
    return UNITS[report.distance] + " of rows of norm √2" * ((report.distance, report.flip) == ("squared-L2", "concat"))


def _drawn(report):
    return " of drawn faces" * report.drawn


def verification(report, images, prefix):
    """Write PREFIX_roc.png, PREFIX_distances.png and PREFIX_pairs.png; see `roc`, `histogram` and `hardest`."""
    roc(report, f"{prefix}_roc.png")
    histogram(report, f"{prefix}_distances.png")
    hardest(report, images, f"{prefix}_pairs.png")


def roc(report, path):
    """Write the ROC with its equal error rate and the validation rate at the target FAR.

    Args:
        report: `verification.Report`.
        path: PNG file to write; or a text stream, for SVG. The same holds for all pictures.
    """
    figure, (axes,) = _figure(1)
    fpr, tpr = report.roc
    # A logarithmic axis has no 0: the first visible rate is one accepted pair.
    lowest = min(1 / np.count_nonzero(~report.same), report.target_far or 1) / 2
    axes.plot(np.maximum(fpr, lowest), tpr, color=SAME, label=f"ROC, area {report.auc:.4f}")
    axes.plot(max(report.eer, lowest), 1 - report.eer, "o", color=DIFFERENT,
              label=f"equal error rate {report.eer:.4f}")
    if report.shows_target:
        axes.plot(max(report.far, lowest), report.val, "s", color=NEUTRAL,
                  label=f"validation rate {report.val:.4f} at FAR {report.far:.4f}")
    axes.set(xscale="log", xlim=(lowest, 1), ylim=(0, 1.02), title=f"Face verification{_drawn(report)}",
             xlabel="false accept rate (share of different pairs)",
             ylabel="true accept rate (share of same pairs)")
    axes.legend(loc="lower right")
    _save(figure, path)


def histogram(report, path):
    """Write the distances of same and of different pairs, and the two thresholds.

    Args:
        report: `verification.Report`.
        path: PNG file to write.
    """
    figure, (axes,) = _figure(1)
    edges = np.linspace(0, max(report.distances.max(), report.threshold) * 1.02, 81)
    kinds = (("same", report.same, SAME), ("different", ~report.same, DIFFERENT))
    for name, chosen, color in kinds:
        count = np.count_nonzero(chosen)
        axes.hist(report.distances[chosen], edges, weights=np.full(count, 100 / count), alpha=0.6,
                  color=color, label=f"{count} {name} pairs")
    axes.axvline(report.threshold, color=NEUTRAL, label=f"threshold {report.threshold:.3f}")
    if report.shows_target:
        axes.axvline(report.far_threshold, color=NEUTRAL, linestyle="--",
                     label=f"threshold at FAR {report.target_far:g}: {report.far_threshold:.3f}")
    axes.set(xlabel=unit(report), ylabel="share of the pairs [%]", xlim=(0, edges[-1]),
             title=f"Distances of the pairs{_drawn(report)}, accuracy {report.accuracy:.4f}")
    axes.legend(loc="upper center")  # between the two kinds
    _save(figure, path)


def det(report, path):
    """Write the detection error trade-off: both kinds of errors on logarithmic axes."""
    figure, (axes,) = _figure(1)
    fpr, tpr = report.roc
    same = np.count_nonzero(report.same)
    lowest = 1 / max(same, len(report.same) - same) / 2
    axes.plot(np.maximum(fpr, lowest), np.maximum(1 - tpr, lowest), color=SAME)
    axes.plot(*[max(report.eer, lowest)] * 2, "o", color=DIFFERENT, label=f"equal error rate {report.eer:.4f}")
    axes.set(xscale="log", yscale="log", xlim=(lowest, 1), ylim=(lowest, 1),
             title=f"Detection error trade-off{_drawn(report)}",
             xlabel="false accept rate (share of different pairs)", ylabel="false reject rate (share of same pairs)")
    axes.legend(loc="lower left")
    _save(figure, path)


def by_quality(report, path, bins=5):
    """Write the accuracy of pairs by their quality, in bins of as many pairs each.

    Args:
        report: `verification.Report` with `quality`.
        path: see `roc`.
        bins: number of them, if there are so many pairs.
    """
    figure, (axes,) = _figure(1)
    right = (report.distances < report.threshold) == report.same
    parts = np.array_split(np.argsort(report.quality, kind="stable"), min(bins, len(right)))
    labels = [f"{report.quality[part[0]]:.3g} to\n{report.quality[part[-1]]:.3g}" for part in parts]
    shares = [right[part].mean() for part in parts]
    errors = [np.sqrt(share * (1 - share) / len(part)) for share, part in zip(shares, parts, strict=True)]
    axes.errorbar(labels, shares, errors, marker="o", color=SAME, capsize=4)
    axes.set(title=f"Accuracy by quality{_drawn(report)}", ylabel="share of pairs decided rightly",
             xlabel="smaller norm of the two images' features")
    _save(figure, path)


def hardest(report, images, path, count=6):
    """Write the same pairs that are farthest apart and the different pairs that are nearest.

    Args:
        report: `verification.Report`.
        images: [2P] paths or bytes, as `data.pairs.Pairs` has them.
        path: PNG file to write.
        count: pairs of each kind.
    """
    order = np.argsort(report.distances, kind="stable")
    same, different = order[report.same[order]][::-1], order[~report.same[order]]
    figure, all_axes = _figure(2 * count, across=count, size=(2.2, 1.6))
    titles = ["same person", "different people"]
    for kind, pairs in enumerate((same[:count], different[:count])):
        for axes, pair in zip(all_axes[kind * count:], pairs, strict=False):
            left, right = (thumbnail(image) for image in images[2 * pair:2 * pair + 2])
            axes.imshow(np.hstack([left, right]))
            axes.set_title(f"{titles[kind]}\n{report.distances[pair]:.2f}", fontsize=9)
    for axes in all_axes:
        axes.axis("off")
    figure.suptitle(f"Hardest pairs; the threshold is {report.threshold:.2f} ({unit(report)})")
    _save(figure, path)


def thumbnail(image, side=112):
    """RGB pixels [side, side, 3] of a path or bytes."""
    return cv2.resize(image_files.read(image), (side, side), interpolation=cv2.INTER_AREA)


def curves(history, path):
    """Write the learning curves of a run: LFW figures, loss, accuracy and learning rate.

    Args:
        history: dict of column → list with a number a row, NaN where a row has no value, such as
            the rows of history.csv; column "step" is the horizontal axis, otherwise the row.
        path: PNG file to write.

    Raises:
        ValueError: no column has a number to draw.
    """
    columns = {name: np.asarray(values, float) for name, values in history.items()}
    steps = columns.pop("step", None)
    panels = [(panel, drawn) for panel in PANELS if (drawn := _columns_of(panel, columns))]
    if not panels:
        raise ValueError(
            f"the history has nothing to draw in its columns ({', '.join(columns) or 'none'}); "
            f"expected numbers in columns such as loss, accuracy, learning_rate, lfw_accuracy."
        )
    figure, all_axes = _figure(len(panels))
    for axes, ((title, unit, _), drawn) in zip(all_axes, panels, strict=True):
        for name, values in drawn.items():
            known = np.isfinite(values)
            at = np.flatnonzero(known) + 1 if steps is None else steps[known]
            axes.plot(at, values[known], marker="." if known.sum() <= 50 else "", label=name)
        axes.set(title=title, ylabel=unit, xlabel="row" if steps is None else "training step")
        axes.legend()
    _save(figure, path)


def _columns_of(panel, columns):
    """The columns of one entry of PANELS that have a number to draw."""
    return {
        name: values for name, values in columns.items()
        if next((other for other in PANELS if other[2] in name), None) is panel
        and np.isfinite(values).any()
    }


def _figure(panels, across=2, size=(7, 4.5)):
    """A figure with its panels, `across` in a row, each of a size in inches."""
    from matplotlib.figure import Figure

    across = min(panels, across)
    down = -(-panels // across)
    figure = Figure(figsize=(size[0] * across, size[1] * down), layout="constrained")
    all_axes = [figure.add_subplot(down, across, number + 1) for number in range(panels)]
    for axes in all_axes:
        axes.grid(alpha=0.3)
    return figure, all_axes


def _save(figure, path):
    if isinstance(path, io.StringIO):
        for axes in figure.axes:
            if axes.legend_:
                axes.legend_.set_frame_on(False)  # it would be white on a dark page
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": figure.axes[0].get_title()}):
            figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
    else:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", dpi=120)
