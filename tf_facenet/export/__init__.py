"""Networks in forms that run without this package, each compared with Keras.

A format is a file with a function of its own name: (`network.embedding_module`, metadata, path to write, options).
"""

import dataclasses
import importlib.util
import logging
import re
from pathlib import Path

from tf_facenet.files import check_replaceable, check_target
from tf_facenet.inference.metadata import ASSETS, SAVED_MODEL
from tf_facenet.lookup import lookup


@dataclasses.dataclass(frozen=True)
class Format:
    """A form to export to.

    Attributes:
        module: where its function is.
        target: name of what the training scripts write beside the model file; its suffix is the format's.
        packages: what must be installed besides, as Python and pip call them.
        quantize: the types of numbers that it can be made smaller with.
    """

    module: str
    target: str
    packages: tuple = ()
    quantize: tuple = ()


FORMATS = {
    "saved_model": Format("tf_facenet.export.saved_model", "saved_model"),
    "onnx": Format("tf_facenet.export.onnx", "model.onnx", packages=("onnx", "onnxruntime", "tf2onnx")),
    "tflite": Format("tf_facenet.export.tflite", "model.tflite", quantize=("float16", "int8")),
}

# Of the folder of a SavedModel, see `files.check_replaceable`.
_PARTS = (SAVED_MODEL, "fingerprint.pb", "variables", "variables/variables.index",
          "variables/variables.data-?????-of-?????", "assets", "assets.extra", ASSETS.as_posix())
_ENDING = re.compile(r"\.(?!v?\d+$)[a-z]\w*")  # of a kind of file; names such as face.v2 and face-1.0 have none

logger = logging.getLogger(__name__)


def check_formats(text):
    """Names of formats, comma separated → list of them; ValueError for one that is unknown or not installed."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        packages = lookup(FORMATS, name, "export format").packages
        missing = [package for package in packages if not importlib.util.find_spec(package)]
        if missing:
            raise ValueError(f"The export format {name!r} needs {', '.join(missing)}: pip install {' '.join(missing)}")
    return names


def format_of(path, name="", quantize=""):
    """The name of the format that `path` has by its suffix.

    Args:
        path: what to write.
        name: the format that is expected, or "".
        quantize: the type of numbers that is wanted, or "".

    Raises:
        ValueError: the suffix is another kind of network's, or the format is not the expected one, is not installed, or
            cannot be quantised that way.
    """
    suffixes, suffix = {Path(form.target).suffix: key for key, form in FORMATS.items()}, Path(path).suffix.lower()
    if suffix not in suffixes and _ENDING.fullmatch(suffix):
        raise ValueError(f"Cannot export to '{path}', since {suffix} is no format's ending; expected a name that ends "
                         "in .onnx or .tflite, or one without an ending for the folder of a SavedModel")
    found = suffixes.get(suffix, suffixes[""])
    check_formats(name or found)
    if name not in ("", found):
        suffix = Path(FORMATS[name].target).suffix
        raise ValueError(f"Cannot write the format {name!r} to '{path}', which is a name for {found!r}; expected "
                         + (f"one that ends in {suffix}" if suffix else "one without that ending"))
    if quantize and quantize not in FORMATS[found].quantize:
        able = [f"{key} as {' or '.join(form.quantize)}" for key, form in FORMATS.items() if form.quantize]
        raise ValueError(f"The format {found!r} cannot be quantised as {quantize!r}; possible are: {', '.join(able)}")
    return found


def replaced(folder):
    """Patterns of what an export to a folder may replace: all of a SavedModel with our metadata, nothing of another."""
    return _PARTS if Path(folder, ASSETS).is_file() else ()


def check_place(path):
    """Raise OSError if exporting there would remove something else than an export, or cannot be; see `format_of`."""
    if format_of(path) == "saved_model":
        check_replaceable(path, replaced(path))
        check_target(path, "folder")
    else:
        check_target(path, "file")


def export_all(path, text, custom_objects=None):
    """Export a model file to each of the formats, beside it.

    Args:
        path: a `.keras` file, or a run folder.
        text: names of formats, comma separated; may be empty.
        custom_objects: see `model_file.load_model`.

    Raises:
        ValueError: a format is unknown, or an export differs from Keras.
        OSError: the model cannot be read or an export cannot be written.
    """
    names = check_formats(text)
    if not names:
        return
    from tf_facenet.export import proof, writing
    from tf_facenet.inference.metadata import locate
    from tf_facenet.inference.model_file import load_model

    file = locate(path)
    model, metadata = load_model(file, custom_objects)
    pairs = proof.drawn_pairs(metadata["image_size"])
    for name in names:
        target = FORMATS[name].target
        logger.info("Exported %s: %s", target, writing.export(model, metadata, file.with_name(target), pairs=pairs))
