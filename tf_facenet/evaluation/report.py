"""One HTML page about a run, in a single file: its numbers and its pictures."""

import base64
import html
import json
from pathlib import Path

from tf_facenet.files import atomic_write

PICTURES = (  # pattern, title
    ("*_pairs.png", "Hardest pairs"),
    ("*_roc.png", "Receiver operating characteristic"),
    ("*_distances.png", "Distances of pairs"),
    ("curves.png", "Learning curves"),
    ("people.png", "Some of the training people, one a row"),
)
NUMBERS = (  # key of a verification's JSON, label, format
    ("accuracy", "Accuracy", "{:.4f}"), ("accuracy_std", "± over folds", "{:.4f}"),
    ("val", "Validation rate", "{:.4f}"), ("far", "at false accept rate", "{:.4f}"),
    ("auc", "Area under the ROC", "{:.4f}"), ("eer", "Equal error rate", "{:.4f}"),
    ("threshold", "Threshold", "{:.3f}"), ("num_pairs", "Pairs", "{}"),
)
STYLE = ("body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
         "img{max-width:100%}td{padding:0 1.5em .2em 0}h2{margin-top:2em;font-weight:500}")


def write_report(folder):
    """Write ``report.html`` from what the run folder holds.

    Args:
        folder: run folder, with the results of ``validate_on_lfw.py --json --plot`` if there are.

    Returns:
        Path of the page.

    Raises:
        OSError: no such folder, or nothing in it to show.
    """
    folder = Path(folder)
    pictures = [(path, title) for pattern, title in PICTURES for path in folder.glob(pattern)]
    if not pictures:
        raise OSError(f"{str(folder)!r} holds no picture to report; name a run folder, in which "
                      "training or validate_on_lfw.py --plot has left some")
    results = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    parts = [f"<h1>{html.escape(folder.resolve().name)}</h1>"]
    parts += [_table(result) for result in results if "fold_accuracies" in result]
    parts += [_picture(path, title) for path, title in pictures]
    page = (f"<!doctype html><html lang=en><meta charset=utf-8><title>{folder.resolve().name}"
            f"</title><style>{STYLE}</style>{''.join(parts)}</html>\n")
    with atomic_write(folder / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder / "report.html"


def _table(result):
    rows = "".join(f"<tr><td>{label}<td>{form.format(result[key])}"
                   for key, label, form in NUMBERS)
    return f"<h2>Verification on {html.escape(result['lfw_dir'])}</h2><table>{rows}</table>"


def _picture(path, title):
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<h2>{title}</h2><img alt="{title}" src="data:image/png;base64,{data}">'
