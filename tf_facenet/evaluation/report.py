"""One HTML page about a verification, in a single file: numbers, curves and the pairs that went wrong."""

import io
import os
from pathlib import Path

import cv2
import keras
import numpy as np

from tf_facenet.evaluation import history, page, plots
from tf_facenet.version import __version__

WORST = 20  # pairs of each kind shown
NUMBERS = (  # what of a report, label, format
    ("accuracy", "Accuracy", "{:.4f}"), ("accuracy_std", "± over folds", "{:.4f}"),
    ("val", "Validation rate", "{:.4f}"), ("val_std", "± over folds", "{:.4f}"),
    ("far", "at false accept rate", "{:.4f}"), ("auc", "Area under the ROC", "{:.4f}"),
    ("eer", "Equal error rate", "{:.4f}"),
    ("threshold", "Threshold", "{:.3f}"), ("far_threshold", "Threshold at the target rate", "{:.3f}"),
)
AT_TARGET = ("val", "val_std", "far", "far_threshold")  # left out where the pairs cannot show the target rate


def write_report(path, model, metadata, report, pairs, facts):
    """Write a page.

    Args:
        path: HTML file to write.
        model: path of the model; the learning curves are those of the run whose folder it is.
        metadata: of the model.
        report: `verification.Report`.
        pairs: `data.pairs.Pairs` that it is of.
        facts: dict of what else is to be said of how it was made.

    Raises:
        OSError: the file cannot be written.
    """
    drawn = [plots.roc, plots.det, plots.histogram] + [plots.by_quality] * (report.quality is not None)
    parts = [_numbers(report, pairs), "<div class=drawings>", *(_drawing(draw, report) for draw in drawn), "</div>",
             *_mistakes(report, pairs.images), _folds(report), *_curves(Path(model)),
             page.details("Options and versions", page.table(_facts(metadata, pairs, facts)))]
    page.write_page(path, f"Face verification with {Path(model).resolve().name}", parts)


def _numbers(report, pairs):
    rows = [(label, form.format(getattr(report, name))) for name, label, form in NUMBERS
            if report.shows_target or name not in AT_TARGET]
    return page.table([*rows, ("False accepts", report.of_all_pairs(), not report.shows_target), ("Pairs", pairs),
                       ("Distance", plots.unit(report))])


def _drawing(draw, content):
    stream = io.StringIO()
    draw(content, stream)
    return page.drawing(stream.getvalue())


def _mistakes(report, images):
    """The false accepts with the smallest distances and the false rejects with the largest, side by side."""
    order = np.argsort(report.distances, kind="stable")
    accepted = report.distances[order] < report.threshold
    kinds = (("False accepts: different people that look alike", order[accepted & ~report.same[order]]),
             ("False rejects: one person who looks different", order[~accepted & report.same[order]][::-1]))
    for title, pairs in kinds:
        yield f"<h2>{title}</h2>"
        if not len(pairs):
            yield "<p>None.</p>"
        else:
            yield f"<p>The worst {min(WORST, len(pairs))} of {len(pairs)}; the threshold is {report.threshold:.3f}.</p>"
            yield page.grid([_pair(report, images, pair) for pair in pairs[:WORST]], "grid pairs")


def _pair(report, images, pair):
    two = images[2 * pair:2 * pair + 2]
    pixels = np.hstack([plots.thumbnail(image) for image in two])
    names = [os.path.basename(image) if isinstance(image, str) else "" for image in two]
    caption = f"{report.distances[pair]:.3f}  {' · '.join(filter(None, names))}"
    return cv2.imencode(".jpg", pixels[:, :, ::-1])[1].tobytes(), caption


def _curves(folder):
    """The learning curves of a run folder, if it has any."""
    if (folder / "history.csv").is_file():
        columns = history.columns(folder / "history.csv")
        if columns:
            yield f"<h2>Learning curves</h2>{_drawing(plots.curves, columns)}"


def _facts(metadata, pairs, facts):
    """What the numbers belong to."""
    own = {name: metadata[name] for name in ("backbone", "image_size", "embedding_size", "standardization", "template",
                                             "data_licence", "model_id")}
    missing = {"pairs without an image": pairs.num_skipped} if pairs.num_skipped else {}
    versions = {"model written by version": metadata["version"], "this version": __version__,
                "Keras": keras.__version__, "NumPy": np.__version__}
    trained = {f"--{name}": value for name, value in metadata["options"].items()}
    return [(name, value) for name, value in {**facts, **missing, **own, **versions, **trained}.items()
            if value not in ("", None)]


def _folds(report):
    rows = [(f"Fold {number}", f"{accuracy:.4f}") for number, accuracy in enumerate(report.fold_accuracies, 1)]
    return f"<h2>Folds</h2>{page.table(rows)}"
