"""Where the package's log lines go when a script runs."""

import logging
import os
import sys


class _Handler(logging.StreamHandler):
    """Lines on stdout; on a terminal the progress bar's line is wiped first."""

    def emit(self, record):
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        super().emit(record)


def to_stdout(quiet=False):
    """Print the package's log lines as they are; with `quiet` only warnings and errors.

    Called before TensorFlow is imported, it also silences what TensorFlow says of missing GPUs.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logger = logging.getLogger("tf_facenet")
    handler = _Handler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
