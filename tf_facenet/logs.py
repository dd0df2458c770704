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

    Imports TensorFlow, whose start-up would write of processors and missing GPUs to the terminal whatever the log
    level; so it is called only where TensorFlow is needed, and before anything else imports it.

    Raises:
        OSError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _import_tensorflow_silently()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text
    logger = logging.getLogger("tf_facenet")
    handler = _Handler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


def _import_tensorflow_silently():
    """Import TensorFlow with the process's stderr closed: its C++ start-up obeys no log level.

    Raises:
        OSError: it is not installed.
    """
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow as tf

        tf.config.list_physical_devices()
    except ModuleNotFoundError as error:
        raise OSError(f"{sys.executable} has no {error.name}. Activate the environment that has it "
                      "(. .venv/bin/activate), or pip install -e .") from None
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
