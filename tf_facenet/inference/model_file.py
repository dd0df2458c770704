"""The model file: a `.keras` archive that carries what one must know to use the network.

The archive is the one Keras writes, with one member more, `tf_facenet.json`: the image size, the
standardisation (which the network does by itself), the class names, the threshold and so on. Any
Keras reads the file; without this package the extra member is ignored.
"""

import hashlib
import importlib
import json
import shutil
import zipfile

import keras

from tf_facenet import backbones, environment
from tf_facenet.files import atomic_write
from tf_facenet.finite import check_weights
from tf_facenet.inference.metadata import MEMBER, check_changeable, check_ending, check_keras, complete, stored


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
    check_ending(path)
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


def write_metadata(path, changes):
    """Change some of the metadata of a model file, whole or not at all; the network stays as it is.

    Args:
        path: a ".keras" file that `save_model` wrote, or a folder that contains model.keras.
        changes: dict of the keys to set.

    Raises:
        OSError: nothing is there, or it cannot be written.
        ValueError: it is not such a file.
    """
    file = check_changeable(path)
    with atomic_write(file) as temporary, zipfile.ZipFile(file) as old, zipfile.ZipFile(temporary, "w") as new:
        said = json.loads(old.read(MEMBER)) if MEMBER in old.namelist() else {}
        for item in old.infolist():
            if item.filename != MEMBER:
                with old.open(item) as source, new.open(item, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
        new.writestr(MEMBER, _text({**said, **changes}), zipfile.ZIP_DEFLATED)


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
    file = check_keras(path)
    _register_layers()
    try:
        said = stored(file)
        check_classes(file, custom_objects)
        model = keras.saving.load_model(file, custom_objects=custom_objects, compile=False, safe_mode=True)
    except Exception as error:  # there is no end of what Keras and HDF5 raise over damaged files
        why = reason(error)
        remedy = _IMPORT if why.startswith("Could not locate") else ""
        raise ValueError(f"'{file}' cannot be loaded: {why}.{remedy}") from error
    return model, describe(model, {**said, "model_id": said.get("model_id") or fingerprint(model)}, file)


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
