"""The model file: a `.keras` archive that carries what one must know to use the network.

The archive is the one Keras writes, with one member more, `tf_facenet.json`: the image size, the
standardisation (which the network does by itself), the class names, the threshold and so on. Any
Keras reads the file; without this package the extra member is ignored.
"""

import hashlib
import importlib
import json
import math
import shutil
import zipfile
from pathlib import Path

import keras

from tf_facenet import backbones, environment
from tf_facenet.files import atomic_write, parse_json
from tf_facenet.finite import check_weights

MEMBER = "tf_facenet.json"
MODEL = "model.keras"  # its name in a run folder
SAVED_MODEL = "saved_model.pb"  # what makes a folder a SavedModel

_DEFAULTS = {
    "backbone": "", "standardization": "", "color_order": "RGB", "template": "",
    "class_names": [], "threshold": None, "options": {}, "data_licence": "", "version": "", "model_id": "",
}


def save_model(model, path, metadata):
    """Write the network and its metadata to one file, whole or not at all.

    Args:
        model: a `keras.Model`, pixels 0..255 RGB [B, H, W, 3] → features [B, D].
        path: the file to write, ending in ".keras"; an older one is replaced.
        metadata: dict of what JSON holds.

    Raises:
        ValueError: `path` has another ending.
        NonFiniteError: a weight is NaN or infinite.
        TypeError: `metadata` holds what JSON does not.
        OSError: the file cannot be written; an older one stays as it was.
    """
    if Path(path).suffix != ".keras":
        raise ValueError(f"Cannot save a model as '{path}': expected a name that ends in .keras.")
    check_weights(model)
    text = _text({**metadata, "model_id": fingerprint(model)})
    with atomic_write(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(MEMBER, text)


def fingerprint(model):
    """Identity of a network: embeddings of networks with different ones cannot be compared."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()


def check_same(model_id, own_id, what, remedy):
    """Raise ValueError unless `what` ("The gallery was made") came of the model with this id."""
    if model_id != own_id:
        raise ValueError(f"{what} with model {own_id[:12] or 'unknown'}, this is {model_id[:12] or 'unknown'}: their "
                         f"embeddings cannot be compared. {remedy}")


def write_metadata(path, changes):
    """Change some of the metadata of a model file, whole or not at all; the network stays as it is.

    Args:
        path: a ".keras" file that `save_model` wrote, or a folder that contains model.keras.
        changes: dict of the keys to set.

    Raises:
        OSError: nothing is there, or it cannot be written.
        ValueError: it is not such a file.
    """
    file = locate(path)
    if not zipfile.is_zipfile(file):
        raise ValueError(f"'{file}' is not a .keras file; only those can be changed. Change the model that it was "
                         "exported from, and export again.")
    with atomic_write(file) as temporary, zipfile.ZipFile(file) as old, zipfile.ZipFile(temporary, "w") as new:
        stored = json.loads(old.read(MEMBER)) if MEMBER in old.namelist() else {}
        for item in old.infolist():
            if item.filename != MEMBER:
                with old.open(item) as source, new.open(item, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
        new.writestr(MEMBER, _text({**stored, **changes}), zipfile.ZIP_DEFLATED)


def _text(metadata):
    return json.dumps(metadata, indent=2, ensure_ascii=False)


def load_model(path, custom_objects=None):
    """Read a model file, or the one in a run folder. No code from the file is run, and no module imported for it.

    Args:
        path: a ".keras" file (one without our metadata too), or a folder that contains model.keras.
        custom_objects: dict name → class of layers that Keras and this package do not know.

    Returns:
        (model, metadata). The metadata have all keys: `image_size` [H, W] and `embedding_size` are
        the network's own, what the file does not say is empty.

    Raises:
        OSError: nothing is there, or it cannot be read.
        ValueError: it is not a model, or not one that turns images into features.
        RuntimeError: this process was forked after TensorFlow had started.
    """
    environment.check_fork()
    file = locate(path)
    if file.is_dir():
        raise ValueError(f"'{file}' is a SavedModel, which holds no layers. Expected a .keras file "
                         "or a run folder; inference.Embedder.load runs a SavedModel.")
    if not zipfile.is_zipfile(file):
        raise ValueError(f"'{file}' is not a model file or only a part of one. Expected a .keras "
                         "file (a zip archive) as save_model or Keras 3 writes it.")
    _register_layers()
    try:
        stored = _stored(file)
        check_classes(file, custom_objects)
        model = keras.saving.load_model(file, custom_objects=custom_objects, compile=False, safe_mode=True)
    except Exception as error:  # there is no end of what Keras and HDF5 raise over damaged files
        said = reason(error)
        remedy = _IMPORT if said.startswith("Could not locate") else ""
        raise ValueError(f"'{file}' cannot be loaded: {said}.{remedy}") from error
    return model, describe(model, {**stored, "model_id": stored.get("model_id") or fingerprint(model)}, file)


def template(path):
    """The template of a model file or run folder, without loading the network; "" if it says none or is no such file.

    Raises:
        ValueError: the file is damaged.
    """
    file = Path(path, MODEL) if Path(path).is_dir() else Path(path)
    return _stored(file).get("template", "") if zipfile.is_zipfile(file) else ""


def _stored(file):
    with zipfile.ZipFile(file) as archive:
        return parse(archive.read(MEMBER), MEMBER) if MEMBER in archive.namelist() else {}


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
                             and math.isfinite(value["value"]))


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


def describe(model, metadata, name="The network"):
    """Metadata with all keys; the sizes are those that the network itself has.

    Raises:
        ValueError: it is not a network that turns images of one size into features.
    """
    inputs = [tuple(tensor.shape) for tensor in model.inputs]
    outputs = [tuple(tensor.shape) for tensor in model.outputs]
    if len(inputs) != 1 or len(inputs[0]) != 4 or inputs[0][3] != 3:
        raise ValueError(f"{name} takes {inputs}; expected one batch of colour images [B, H, W, 3]."
                         " Use a network of the package or one of that form.")
    if len(outputs) != 1 or len(outputs[0]) != 2:
        raise ValueError(f"{name} gives {outputs}; expected one batch of features [B, D]. "
                         "Leave out the layers after the features, or pool those before.")
    if None in inputs[0][1:]:
        raise ValueError(f"{name} takes images of any size. Save it with a fixed input shape.")
    sizes = {"image_size": list(inputs[0][1:3]), "embedding_size": outputs[0][1]}
    return {**complete(metadata), **sizes}


def complete(metadata):
    """The metadata with an empty value for every key that they lack."""
    return {**_DEFAULTS, **metadata}


def _register_layers():
    """Import the backbones' modules, by which Keras comes to know their layers."""
    for path in backbones.BACKBONES.values():
        importlib.import_module(path.partition(":")[0])


def check_classes(file, custom_objects):
    """Raise ValueError, in Keras' words, if a model file has layers of classes that nobody has imported.

    Keras 3.15 imports modules of keras_hub and its like by itself.
    """
    with zipfile.ZipFile(file) as archive:
        parts, unknown = [json.loads(archive.read("config.json"))], {}
    while parts:
        part = parts.pop()
        parts.extend(part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())
        if isinstance(part, dict) and part.keys() >= _KEYS and not _is_known(part, custom_objects):
            unknown[_name(part)] = part["module"]
    if unknown:
        names = ", ".join(f"{name!r}" + f" of {module!r}" * bool(module) for name, module in sorted(unknown.items()))
        raise ValueError(f"Could not locate class {names:.300}")


_IMPORT = (" If you trust it, name the module or .py file that defines it with --import, or in Python the class itself "
           "in custom_objects.")
_KEYS = {"module", "class_name", "config", "registered_name"}  # of an object of Keras


def _name(part):
    return part["config"] if part["class_name"] == "function" else part["class_name"]


def _is_known(part, custom_objects):
    """Whether Keras finds the class, or function, of a part of a network without importing anything else."""
    name = _name(part) if part["class_name"] == "function" else part["registered_name"] or _name(part)
    own = str(part["module"]).partition(".")[0] in ("keras", "builtins")
    return own or keras.saving.get_registered_object(name, custom_objects) is not None


def reason(error):
    """The first sentence of what went wrong, from Keras' pages of text."""
    text = " ".join(map(str, error.args)).rpartition("Exception encountered: ")[2]
    return " ".join(text.split()).partition(". ")[0].rstrip(".")
