"""Networks in forms that run without this package, each compared with Keras.

A format is a module with a function of its own name: (model, metadata, path to write) → the largest
difference to Keras.
"""

import importlib
import logging
from pathlib import Path

from tf_facenet.lookup import lookup

FORMATS = {  # name → (module, name of what it writes beside the model file)
    "saved_model": ("tf_facenet.export.saved_model", "saved_model"),
}

logger = logging.getLogger(__name__)


def check_formats(text):
    """Names of formats, comma separated → list of them; ValueError for an unknown one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        lookup(FORMATS, name, "export format")
    return names


def export_all(path, text):
    """Export a model file to each of the formats, beside it.

    Args:
        path: a `.keras` file, or a run folder.
        text: names of formats, comma separated; may be empty.

    Raises:
        ValueError: a format is unknown, or an export differs from Keras.
        OSError: the model cannot be read or an export cannot be written.
    """
    names = check_formats(text)
    if not names:
        return
    from tf_facenet.inference import model_file

    file = model_file.locate(path)
    model, metadata = model_file.load_model(file)
    for name in names:
        module, target = FORMATS[name]
        write = getattr(importlib.import_module(module), name)
        difference = write(model, metadata, Path(file).with_name(target))
        logger.info("Exported %s: differs from Keras by at most %.1e", target, difference)
