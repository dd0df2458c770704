"""Pictures of a verification and of a training run, as PNG files.

Figures are made without pyplot, so that no window, backend or global state is touched.
"""

import numpy as np

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


def roc(report, path):
    """Write the ROC with its equal error rate and the validation rate at the target FAR.

    Args:
        report: `verification.Report`.
        path: PNG file to write.
    """
    figure, (axes,) = _figure(1)
    fpr, tpr = report.roc
    # A logarithmic axis has no 0: the first visible rate is one accepted pair.
    lowest = min(1 / np.count_nonzero(~report.same), report.target_far or 1) / 2
    axes.plot(np.maximum(fpr, lowest), tpr, color=SAME, label=f"ROC, area {report.auc:.4f}")
    axes.plot(max(report.eer, lowest), 1 - report.eer, "o", color=DIFFERENT,
              label=f"equal error rate {report.eer:.4f}")
    axes.plot(max(report.far, lowest), report.val, "s", color=NEUTRAL,
              label=f"validation rate {report.val:.4f} at FAR {report.far:.4f}")
    axes.set(xscale="log", xlim=(lowest, 1), ylim=(0, 1.02), title="Face verification",
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
    axes.axvline(report.far_threshold, color=NEUTRAL, linestyle="--",
                 label=f"threshold at FAR {report.target_far:g}: {report.far_threshold:.3f}")
    axes.set(xlabel=UNITS[report.distance], ylabel="share of the pairs [%]", xlim=(0, edges[-1]),
             title=f"Distances of the pairs, accuracy {report.accuracy:.4f}")
    axes.legend()
    _save(figure, path)


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


def _figure(panels):
    """A figure with its panels, two in a row."""
    from matplotlib.figure import Figure

    across = min(panels, 2)
    down = -(-panels // across)
    figure = Figure(figsize=(7 * across, 4.5 * down), layout="constrained")
    all_axes = [figure.add_subplot(down, across, number + 1) for number in range(panels)]
    for axes in all_axes:
        axes.grid(alpha=0.3)
    return figure, all_axes


def _save(figure, path):
    figure.savefig(path, format="png", dpi=120)
