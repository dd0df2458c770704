"""Face-embedding networks on Keras 3 and TensorFlow: train, validate on LFW, export.

The names most users need, each imported when it is first used.
"""

import importlib
import os

from tf_facenet import environment  # noqa: F401  (it notes forks)
from tf_facenet.version import __version__

# TensorFlow would leave oneDNN out on processors without AVX-512; there too it is up to twice as fast.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# What OpenCV would print about a damaged image is said in one line by whoever reads it.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")

_NAMES = {
    "Embedder": "tf_facenet.inference.embedder",
    "FaceTrainer": "tf_facenet.training.trainer",
    "evaluate": "tf_facenet.evaluation.verification",
    "read_pairs": "tf_facenet.data.pairs",
}
__all__ = ["__version__", *_NAMES]


def __getattr__(name):
    """Import a name of the table."""
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_NAMES[name]), name)
