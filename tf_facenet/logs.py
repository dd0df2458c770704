"""Where the package's log lines go when a script runs."""

import logging
import os
import sys

from tf_facenet import environment, terminal


class _Handler(logging.Handler):
    """Lines on stdout; on a terminal the progress bar's line is wiped first."""

    def emit(self, record):
        if sys.stderr.isatty():
            terminal.write("stderr", "\r\x1b[K")
            terminal.flush()
        terminal.write("stdout", self.format(record) + "\n")


class _Formatter(logging.Formatter):
    """The message alone, in one line; below it the traceback of an error."""

    def formatMessage(self, record):  # noqa: N802  (its name in the standard library)
        return terminal.printable(record.message)


def to_stdout(quiet=False):
    """Print the package's log lines as they are; with `quiet` only warnings and errors."""
    logger = logging.getLogger("tf_facenet")
    handler = _Handler()
    handler.setFormatter(_Formatter())
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


def import_tensorflow():
    """Import TensorFlow without what its start-up writes of processors and missing GPUs, whatever the log level.

    It takes seconds: call it before anything else imports TensorFlow, and after everything that can fail without it.

    Raises:
        OSError: it is not installed.
        ValueError: Keras has other settings than the package needs, see `environment.check_keras`.
    """
    environment.check_keras()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else it takes all of each GPU's memory at once
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # its C++ start-up obeys no log level
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
