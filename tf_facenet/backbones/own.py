"""Networks and layers of one's own: modules that a user names, never a file."""

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path


def split(name):
    """``module:function`` or ``PATH.py:function`` → module or path, function; a path may have colons itself."""
    place, _, function = name.rpartition(":")
    return place, function


def module(name):
    """Import a module by its name, or by the path of its ``.py`` file, whose neighbours it can import.

    Raises:
        ImportError: there is none, another module has its name, or its own code fails.
    """
    try:
        return importlib.import_module(_name_of_file(name) if name.endswith(".py") else name)
    except Exception as error:  # whatever its code raises
        kind = "" if isinstance(error, (ImportError, ValueError)) else f"{type(error).__name__}: "
        raise ImportError(f"{kind}{error}") from error


def _name_of_file(path):
    path = Path(path).expanduser().resolve()
    if not path.is_file():
        raise ImportError("there is no such file")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # at the end: its neighbours hide no other module
        importlib.invalidate_caches()
    spec = importlib.util.find_spec(path.stem)
    if not spec or not spec.origin or Path(spec.origin).resolve() != path:
        raise ImportError(f"another module is called {path.stem!r}; give the file another name")
    return path.stem


def objects(imports, backbone=""):
    """What Keras can know in a new process that has imported some modules: its `custom_objects`.

    Args:
        imports: name of a module or path of a ``.py`` file, or a list of them; may be empty.
        backbone: name of a backbone of one's own, ``module:function``, whose module counts too; or "".

    Returns:
        dict name → class or function: the classes in the modules, and what is registered with Keras by now.

    Raises:
        ValueError: one cannot be imported.
    """
    import keras  # not by who only looks for the name of a backbone

    names = [imports] if isinstance(imports, str) else list(imports)
    found = {}
    for name in filter(None, [*names, backbone and split(backbone)[0]]):
        try:
            classes = [value for value in vars(module(name)).values() if _is_loadable(value)]
        except ImportError as error:
            raise ValueError(f"Cannot import {name!r}: {error}. Expected a module on PYTHONPATH, or the path of a .py "
                             "file.") from error
        found |= {cls.__name__: cls for cls in classes}
    return {**found, **keras.saving.get_custom_objects()}


def _is_loadable(value):
    """Whether it is a class that Keras makes from what a file says, and not one of its own."""
    return (inspect.isclass(value) and hasattr(value, "from_config")
            and value.__module__.partition(".")[0] != "keras")


def check(model, name, image_size, embedding_size):
    """Raise ValueError unless a network takes batches of images of the size and gives features of the width."""
    if not getattr(model, "inputs", None):
        raise ValueError(f"The backbone {name!r} gives a model without inputs; expected a functional keras.Model.")
    sides = (image_size,) * 2 if isinstance(image_size, int) else tuple(image_size)
    for what, expected, tensors in (("takes", (None, *sides, 3), model.inputs),
                                    ("gives", (None, embedding_size), model.outputs)):
        found = [tuple(tensor.shape) for tensor in tensors]
        if found != [expected]:
            raise ValueError(f"The backbone {name!r} {what} {', '.join(map(str, found))}; expected {expected}, of the "
                             "image size and the embedding size that it was asked for.")
