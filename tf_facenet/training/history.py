"""The history of a run: a table of numbers and the same in TensorBoard."""

import contextlib
import csv
import errno

import numpy as np
import tensorflow as tf

from tf_facenet.evaluation import history, plots
from tf_facenet.files import atomic_write

MEASURES = ("accuracy", "val", "far", "auc", "eer")  # of a `Report`, for each set that is verified


class History:
    """One row per logged step, in a CSV file and in TensorBoard.

    Args:
        folder: where history.csv, the events and, at the end, curves.png are.
        step: rows after this step, of a run that was killed, are dropped.
        sets: names of verification sets; each has columns such as `lfw_accuracy`.
    """

    COLUMNS = ("step", "epoch", "time", "learning_rate", "loss", "xent", "reg_loss", "accuracy",
               "center_loss", "prelogits_norm", "triplet_loss", "active_share", "positive_distance",
               "negative_distance", "loss_scale", "val_loss", "val_xent", "val_accuracy",
               *(f"lfw_{measure}" for measure in MEASURES))

    def __init__(self, folder, step, sets=()):
        self.path = folder / "history.csv"
        rows = [row for row in self.rows() if int(row["step"]) <= step]
        own = [f"{name}_{measure}" for name in sets for measure in MEASURES]
        self.columns = list(dict.fromkeys([*self.COLUMNS, *(rows[0] if rows else ()), *own]))
        with atomic_write(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)
        self._file = open(self.path, "a", newline="")  # noqa: SIM115  (open for the whole run)
        self._writer = csv.DictWriter(self._file, self.columns)
        self._events = tf.summary.create_file_writer(str(folder))

    def rows(self):
        """Rows as dicts of strings; an empty string where a column has no value."""
        return history.read(self.path) if self.path.exists() else []

    def add(self, step, **values):
        """Append a row."""
        self._writer.writerow({"step": step, **{
            name: f"{value:.9g}" for name, value in values.items()}})
        self._file.flush()
        # Of NumPy: each number of Python's that becomes a tensor stays in memory, in TensorFlow's cache of scalars.
        with _os_errors(), self._events.as_default(np.int64(step)):
            for name, value in values.items():
                tf.summary.scalar(name, np.float32(value))

    def histogram(self, step, name, values):
        """Add a histogram to TensorBoard."""
        with _os_errors(), self._events.as_default(np.int64(step)):
            tf.summary.histogram(name, values)

    def close(self):
        """Draw the curves and close the files."""
        self._file.close()
        with _os_errors():
            self._events.close()
        columns = history.columns(self.path)
        if columns:
            plots.curves(columns, self.path.with_name("curves.png"))


@contextlib.contextmanager
def _os_errors():
    """What TensorFlow says of a disk that is full or gone becomes an OSError."""
    try:
        yield
    except tf.errors.OpError as error:
        reason = " ".join(error.message.split()).partition(";")[2].partition(" Failed")[0].strip() or error.message
        raise OSError(errno.EIO, f"TensorBoard's events, {reason}") from error
