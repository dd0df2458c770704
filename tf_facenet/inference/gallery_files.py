"""The folder of a gallery: arrays, and gallery.json, which names them.

Each version has files of its own, and gallery.json says which they are. So a reader sees the version before or the new
one whole, and one that has mapped the files of before keeps them. Writers wait for each other; other files stay.
"""

import contextlib
import json
import re
import uuid
from pathlib import Path

import numpy as np

from tf_facenet.files import DAMAGES, atomic_write, parse_json
from tf_facenet.locks import locked

DESCRIPTION, LOCK = "gallery.json", "gallery.lock"
ARRAYS = {"rows": (np.float32, 1), "codes": (np.int8, 1), "scales": (np.float32, 0), "errors": (np.float32, 0)}
# Name → (type, 1 if its rows are as wide as the embeddings, 0 if they are numbers).
_VERSION = re.compile("[0-9a-f]{12}|")  # galleries that this package wrote at first had none
_FILE = re.compile(rf"({'|'.join(ARRAYS)})-[0-9a-f]{{12}}\.npy")
_LEFTOVER = re.compile(rf"\.tmp-[0-9a-f]{{12}}-({_FILE.pattern}|{re.escape(DESCRIPTION)})")  # see `files.atomic_write`


def is_gallery(folder):
    """Whether a folder holds one."""
    return Path(folder, DESCRIPTION).is_file()


def check_place(folder):
    """Raise FileNotFoundError if there is something at a path that is no gallery, so that none belongs there.

    What a first writer has made so far, who may be at work or was killed, is not in the way.
    """
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(not _is_own(item.name) for item in folder.iterdir())):
        _check_is_gallery(folder)


def writing(folder):
    """Context in which this process alone writes; makes the folder.

    Raises:
        OSError: it cannot be made.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    return locked(Path(folder, LOCK))


def write(folder, arrays, names, model_id):
    """Write a version and remove those before; see `writing`.

    Args:
        folder: of the gallery.
        arrays: those of `ARRAYS`, in its order.
        names: N names.
        model_id: of the model.

    Raises:
        OSError: it cannot be written; the version before stays.
        ValueError: there is a description that is damaged or somebody else's.
    """
    folder, version = Path(folder), uuid.uuid4().hex[:12]
    older, own = _files(folder), _names(version)
    text = json.dumps({"model_id": model_id, "version": version, "names": names}, ensure_ascii=False)
    try:
        for name, array in zip(own, arrays, strict=True):
            with atomic_write(folder / name) as temporary, open(temporary, "wb") as file:
                np.save(file, array, allow_pickle=False)
        with atomic_write(folder / DESCRIPTION) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
    except BaseException:
        _remove(folder, own)
        raise
    _remove(folder, older)


def read(folder):
    """The newest version, mapped into memory.

    Returns:
        ``(arrays, names, model_id)``: arrays in the order of `ARRAYS`.

    Raises:
        OSError: there is none.
        ValueError: its files do not belong together.
    """
    folder = Path(folder)
    _check_is_gallery(folder)
    try:
        arrays, description = _mapped(folder)
        names, model_id = _checked_names(**description)
        _check_arrays(arrays, len(names))
    except DAMAGES as error:
        raise ValueError(f"The gallery '{folder}' is damaged ({error}). Make it again.") from error
    return arrays.values(), names, model_id


def _check_is_gallery(folder):
    if not is_gallery(folder):
        raise FileNotFoundError(f"'{folder}' is no gallery: it has no {DESCRIPTION}. tf-facenet enroll makes one.")


def _mapped(folder):
    description, before = _described(folder), None
    while description != before:  # else a writer has gone on to the next version
        with contextlib.suppress(FileNotFoundError):
            return {name: np.load(folder / file, mmap_mode="r", allow_pickle=False)
                    for name, file in zip(ARRAYS, _names(description["version"]), strict=True)}, description
        description, before = _described(folder), description
    raise ValueError(f"files of {DESCRIPTION} are missing")


def _described(folder):
    text = (folder / DESCRIPTION).read_text(encoding="utf-8", errors="surrogateescape")
    description = {"version": "", **parse_json(text, DESCRIPTION)}
    if not _VERSION.fullmatch(description["version"]):
        raise ValueError(f"{DESCRIPTION} says version {description['version']!r:.40}")
    return description


def _names(version):
    """The files of a version, in the order of `ARRAYS`."""
    return [f"{name}-{version}.npy" if version else f"{name}.npy" for name in ARRAYS]


def _is_own(name):
    return name in (DESCRIPTION, LOCK) or _FILE.fullmatch(name) or _LEFTOVER.fullmatch(name)


def _files(folder):
    """The arrays of all versions, and what a writer who was killed had begun."""
    found = [item.name for item in folder.iterdir() if _FILE.fullmatch(item.name) or _LEFTOVER.fullmatch(item.name)]
    if is_gallery(folder):
        try:
            description = _described(folder)
            _checked_names(**description)
        except DAMAGES as error:
            raise ValueError(f"'{folder / DESCRIPTION}' is damaged or not a gallery's ({error}), and is not replaced. "
                             "Remove it, or name another folder") from error
        found += _names(description["version"])
    return found


def _remove(folder, names):
    for name in names:
        with contextlib.suppress(OSError):  # Windows keeps what somebody has mapped; the next writer tries again
            (folder / name).unlink()


def _checked_names(*, names, model_id, version):
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in [*names, model_id])):
        raise ValueError(f"{DESCRIPTION} holds no names of people, or no model_id")
    return names, model_id


def _check_arrays(arrays, count):
    """Raise ValueError unless the arrays are of the kinds and sizes that belong to so many rows."""
    rows = arrays["rows"]
    width = rows.shape[1:] if isinstance(rows, np.ndarray) else ()
    for name, (dtype, shape) in ARRAYS.items():
        array, expected = arrays[name], (count, *width[:shape])
        if not isinstance(array, np.ndarray) or len(width) != 1 or (array.dtype, array.shape) != (dtype, expected):
            raise ValueError(f"{name} has another kind or number of values than {count} names and their rows need")
