"""What this package needs of the process that it runs in: Keras' settings, and TensorFlow's threads."""

import json
import os
import sys

# What networks, losses and files of this package are made for. Others would be other networks, or no networks at all.
_NEEDED = {"backend": "tensorflow", "image_data_format": "channels_last", "floatx": "float32", "nnx_enabled": False}
_USUAL = {**_NEEDED, "epsilon": 1e-7}  # without a file
_VARIABLES = {"backend": "KERAS_BACKEND", "nnx_enabled": "KERAS_NNX_ENABLED"}  # they count more than the file
_ON = {"true": True, "1": True}
_cut_off = set()  # process ids


def check_keras(*names):
    """Raise unless Keras has the settings that this package needs, or will have them when it is imported.

    To ask before Keras is imported matters: with some settings it cannot be.

    Args:
        *names: settings to look at, as ``keras.json`` calls them; all if none.

    Raises:
        ValueError: one of them is another, or the file holds what Keras refuses; the message names the file.
        OSError: the file cannot be read.
    """
    path = _keras_json()
    stored = _read(path)
    keras = sys.modules.get("keras")
    for name in names or _NEEDED:
        variable = _variable(name)
        value = stored[name] if variable is None else variable
        found = value if keras is None else _current(keras, name, value)
        if found != _NEEDED[name]:
            who, remedy = _origin(name, found, variable, path, stored)
            raise ValueError(f"Keras' {name} is {found!r:.40}, as {who}; expected {_NEEDED[name]!r}: {remedy}")
    if keras is None and not isinstance(stored["epsilon"], float):
        raise ValueError(f"'{path}' says epsilon {stored['epsilon']!r:.40}; expected a number with a point, as 1e-7")


def _current(keras, name, otherwise):
    """What Keras works with now; a version without such a setting works with what it needs."""
    read = getattr(keras.config, {"nnx_enabled": "is_nnx_enabled"}.get(name, name), lambda: otherwise)
    return read()


def _origin(name, found, variable, path, stored):
    """Who says so, and what to do."""
    if found == variable:
        return f"the variable {_VARIABLES[name]} says", "set it to that, or to nothing"
    if found == stored[name]:
        return f"'{path}' says", "change it there, or set KERAS_HOME to a folder without keras.json"
    return "this program has set it", "set it back before tf_facenet works"


def _variable(name):
    text = os.environ.get(_VARIABLES.get(name, ""))
    if not text:
        return None
    return text if name == "backend" else _ON.get(text.lower(), False)


def _keras_json():
    """Where Keras looks for its settings."""
    home = os.path.expanduser("~")
    folder = os.environ.get("KERAS_HOME", os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras"))
    return os.path.expanduser(os.path.join(folder, "keras.json"))


def _read(path):
    """The settings in the file, and the usual ones that it does not say; Keras ignores a file that is not JSON."""
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return _USUAL
    if not isinstance(values, dict):
        raise ValueError(f"'{path}' holds {values!r:.40}; expected names and values, or no such file")
    return {**_USUAL, **values}


def check_fork():
    """Raise in a process that was forked after TensorFlow had started: TensorFlow would wait for ever.

    A fork copies one thread, and TensorFlow computes in others. Child processes that fork before anything uses
    TensorFlow work, and so do those that start anew ("spawn").

    Raises:
        RuntimeError: this is such a process.
    """
    if os.getpid() in _cut_off:
        raise RuntimeError("This process was forked after TensorFlow had started, and would wait for ever for threads "
                           "that a fork does not copy. Start it with multiprocessing.get_context('spawn'), or fork "
                           "before anything uses TensorFlow and load the model in the child")


def _note_fork():
    # "context" is TensorFlow's one for the process, there and initialised once anything has been computed.
    module = sys.modules.get("tensorflow.python.eager.context")
    context = module and module.context_safe()
    if context and context._initialized:
        _cut_off.add(os.getpid())


def _has_one_thread():
    """Whether this is so for sure, of all threads and not those of Python alone."""
    return os.path.isdir("/proc/self/task") and len(os.listdir("/proc/self/task")) == 1


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_note_fork)
    if _has_one_thread():  # a fork may have been before this import
        _note_fork()
