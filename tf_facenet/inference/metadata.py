"""What a model file says about its network, read without the network and so without TensorFlow.

The metadata are JSON under the name `tf_facenet.json`: a member of the archive that a `.keras` file is, and of the one
behind the network in a `.tflite` file; a property of an `.onnx` file; a file in the folder of a SavedModel.
"""

import math
import mmap
import zipfile
from pathlib import Path

from tf_facenet.files import DAMAGES, parse_json

MEMBER = "tf_facenet.json"
MODEL = "model.keras"  # its name in a run folder
SAVED_MODEL = "saved_model.pb"  # what makes a folder a SavedModel
ASSETS = Path("assets.extra", MEMBER)  # the metadata in that folder

_DEFAULTS = {
    "backbone": "", "standardization": "", "color_order": "RGB", "template": "",
    "class_names": [], "threshold": None, "options": {}, "data_licence": "", "version": "", "model_id": "",
}
# Of an ONNX file (onnx.proto): the number of the properties in a model, and of key and value in one of them.
_PROPERTIES, _KEY, _VALUE = 14, 1, 2
_VARINT, _LENGTH = 0, 2  # kinds of fields of a protocol buffer (protobuf.dev, Encoding)
_FIXED = {1: 8, 5: 4}  # kind → bytes


def read(path):
    """The metadata of a model file, with all keys but the sizes, which only exports say.

    Raises:
        OSError: nothing is there, or it cannot be read.
        ValueError: they are damaged, or it is no model file.
    """
    file = locate(path)
    if not file.is_dir() and file.suffix.lower() not in (".onnx", ".tflite"):
        check_archive(file)
    return complete(stored(file))


def stored(file):
    """The metadata that a model file, or the folder of a SavedModel, says; {} if it says none.

    Raises:
        OSError: it cannot be read.
        ValueError: they are damaged.
    """
    file = Path(file)
    if file.is_dir():
        text = (file / ASSETS).read_bytes() if (file / ASSETS).is_file() else None
    else:
        text = (_onnx_property if file.suffix.lower() == ".onnx" else _member)(file)
    return {} if text is None else parse(text, MEMBER)


def check_ending(path):
    """Raise ValueError unless a model file can have this name."""
    if Path(path).suffix != ".keras":
        raise ValueError(f"Cannot save a model as '{path}': expected a name that ends in .keras.")


def check_archive(file):
    """Raise ValueError unless a file is an archive, as ".keras" files are."""
    if not zipfile.is_zipfile(file):
        raise ValueError(f"'{file}' is not a model file or only a part of one. Expected a .keras "
                         "file (a zip archive) as save_model or Keras 3 writes it.")


def check_changeable(path):
    """The ".keras" file that a path means, whose metadata can be written.

    Raises:
        OSError: nothing is there.
        ValueError: it is another form of a model.
    """
    file = locate(path)
    if file.is_dir() or not zipfile.is_zipfile(file) or file.suffix.lower() == ".tflite":  # with an archive at its end
        raise ValueError(f"'{file}' is not a .keras file; only those can be changed. Change the model that it was "
                         "exported from, and export again.")
    return file


def check_keras(path):
    """The ".keras" file that a path means.

    Raises:
        OSError: nothing is there.
        ValueError: it is another form of a model.
    """
    file = locate(path)
    if file.is_dir():
        raise ValueError(f"'{file}' is a SavedModel, which holds no layers. Expected a .keras file "
                         "or a run folder; inference.Embedder.load runs a SavedModel.")
    check_archive(file)
    return file


def _member(file):
    if not zipfile.is_zipfile(file):
        return None
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.read(MEMBER) if MEMBER in archive.namelist() else None
    except DAMAGES as error:
        raise ValueError(f"'{file}' is damaged: {error}. Save the model again") from None


def _onnx_property(file):
    """The bytes, or None; of the file only the outermost fields are read, not the network."""
    with open(file, "rb") as opened:
        try:
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
                entries = [dict(_fields(value)) for number, value in _fields(content, (_PROPERTIES,))]
        except (ValueError, IndexError, KeyError):  # no ONNX file, as its runner will say
            return None
    return next((entry.get(_VALUE) for entry in entries if entry.get(_KEY) == MEMBER.encode()), None)


def _fields(content, wanted=(_KEY, _VALUE)):
    """(number, bytes) of those fields of a protocol buffer that are wanted and have a length."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        if key & 7 == _VARINT:
            at = _varint(content, at)[1]
            continue
        length, at = _varint(content, at) if key & 7 == _LENGTH else (_FIXED[key & 7], at)
        if key >> 3 in wanted:
            yield key >> 3, content[at:at + length]
        at += length


def _varint(content, at):
    """An integer of 7 bits a byte, the lowest first, and the place behind it."""
    value = shift = 0
    while True:
        byte = content[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def stored_threshold(distance, value, flip, false_accepts, far=None):
    """What is stored of a threshold.

    Args:
        distance: "squared-L2" or "cosine", as `evaluation.metrics` has them.
        value: the threshold.
        flip: that of the embeddings; rows of "concat" have norm √2, and what is stored is for rows of norm 1.
        false_accepts: `evaluation.rates.FalseAccepts` of the pairs that it was chosen on.
        far: the false accept rate that was asked for; None for the threshold of the best accuracy.
    """
    return {"distance": distance, "value": value / 2 if (distance, flip) == ("squared-L2", "concat") else value,
            "flip": flip, "far": far, "false_accepts": false_accepts.accepted, "different_pairs": false_accepts.pairs,
            "far_interval": false_accepts.interval}


def template(path):
    """The template of a model file or run folder, without loading the network; "" if it says none or is no such file.

    Raises:
        ValueError: the file is damaged.
    """
    file = Path(path, MODEL) if Path(path).is_dir() else Path(path)
    return stored(file).get("template", "") if zipfile.is_zipfile(file) else ""


def parse(text, name):
    """Metadata from their JSON text.

    Args:
        text: str or bytes.
        name: of the file, for messages.

    Raises:
        ValueError: it is damaged, or one of the metadata is of another kind than `save_model` writes.
    """
    stored = parse_json(text, name)
    for key, (fits, expected) in _FORMS.items():
        if key in stored and not fits(stored[key]):
            raise ValueError(f"'{name}' says {key} {stored[key]!r:.80}; expected {expected}. Save the model again")
    return stored


def _is_threshold(value):
    return value is None or (isinstance(value, dict) and isinstance(value.get("value"), (int, float))
                             and math.isfinite(value["value"]) and isinstance(value.get("flip", ""), str))


_TEXT = (lambda value: isinstance(value, str), "a text")
_FORMS = {  # name → (whether a value is good, what is)
    **{name: _TEXT for name, value in _DEFAULTS.items() if value.__class__ is str},
    "class_names": (lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
                    "a list of names"),
    "threshold": (_is_threshold, "null or a distance and a value"),
    "options": (lambda value: isinstance(value, dict), "names and values"),
}


def locate(path):
    """The ".keras" file or the SavedModel folder that `path` means.

    Raises:
        FileNotFoundError: nothing is there, or a folder without a model.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No model at '{path}'. Expected a run folder, a .keras file or a "
                                "SavedModel folder.")
    if not path.is_dir():
        return path
    if (path / MODEL).is_file():
        return path / MODEL
    if (path / SAVED_MODEL).is_file():
        return path
    found = sorted(item.name for item in path.iterdir())
    shown = ", ".join(found[:8] + ["…"] * (len(found) > 8)) or "nothing"
    raise FileNotFoundError(f"Expected {MODEL} or {SAVED_MODEL} in '{path}', found: {shown}.")


def complete(metadata):
    """The metadata with an empty value for every key that they lack."""
    return {**_DEFAULTS, **metadata}


def check_made_by(made, path):
    """Raise what `made.check_model` raises, for a gallery or classifier, as far as a model file says what it is."""
    model_id = read(path)["model_id"]
    if model_id:
        made.check_model(model_id)


def without_names(metadata):
    """The metadata without the names of people and the options of the training, but for how it cropped the images."""
    options = {name: value for name, value in metadata["options"].items() if name == "crop"}
    return {**metadata, "class_names": [], "options": options}


def check_same(model_id, own_id, what, remedy):
    """Raise ValueError unless `what` ("The gallery was made") came of the model with this id."""
    if model_id != own_id:
        raise ValueError(f"{what} with model {own_id[:12] or 'unknown'}, this is {model_id[:12] or 'unknown'}: their "
                         f"embeddings cannot be compared. {remedy}")
