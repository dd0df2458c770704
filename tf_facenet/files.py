"""Finding files, and writing files and folders that are whole or absent.

Writing means: under a temporary name beside the target, forced to disk, then renamed. A folder replaces one that this
package has written there before, and nothing else: see `check_replaceable`.
"""

import contextlib
import csv
import errno
import fnmatch
import json
import os
import re
import shutil
import tokenize
import uuid
import zipfile
import zlib
from pathlib import Path

# What the standard library and NumPy raise over an archive of arrays that is none, or is damaged.
DAMAGES = (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, MemoryError, RuntimeError, SyntaxError,
           tokenize.TokenError, zlib.error, zipfile.BadZipFile)
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")  # how a cell begins that spreadsheets run, or that `write_csv` made of such
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)")
_LEFTOVER = re.compile(r"\.tmp-[0-9a-f]{12}-.*", re.DOTALL)  # what `_temporary` makes
_SHOWN = 5  # files that a message names
_KEPT = 180  # bytes of a name that a temporary file keeps, of the 255 that file systems allow
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)  # said by some network file systems


def find(path, *folders):
    """The file at `path` as it is given, or else inside the first of the folders that has it.

    Raises:
        FileNotFoundError: none has it; the message names all the places.
    """
    places = [Path(path), *(Path(folder, path) for folder in folders)]
    for place in places:
        if place.is_file():
            return place
    names = ", ".join(dict.fromkeys(f"'{place}'" for place in places))
    raise FileNotFoundError(f"No file '{path}': looked for {names}. Name an existing file.")


def check_target(path, kind):
    """Raise OSError if no "file", "folder", or files whose names begin so ("prefix"), can be written at a path."""
    path = Path(path)
    if path.exists() and path.is_dir() == (kind == "file") and kind != "prefix":
        raise OSError(f"'{path}' is a {'folder' if path.is_dir() else 'file'}; expected a name for a {kind}")
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if not parent.is_dir():
        raise OSError(f"'{path}' cannot be written: '{parent}' is a file. Name a place inside a folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OSError(f"'{path}' cannot be written: you may not write into '{parent}'. Name another place")


@contextlib.contextmanager
def atomic_write(path):
    """Gives a temporary path; the file written there replaces `path` when the block ends well.

    A reader, or a machine that loses power, sees the old file or the new one and never a part of
    it. When the block fails (a full disk, an interrupt) the old file is untouched, the temporary
    one is removed and the error passes on. Only a killed process leaves its temporary file, whose
    name starts with ".tmp-"; nothing reads it.

    Args:
        path: the file to write. Missing parent folders are made.

    Yields:
        A `pathlib.Path` in the same folder, ending like `path`, at which no file exists yet.

    Raises:
        OSError: the file cannot be written, forced to disk or renamed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:  # of a file that is open already it does not say which, of others the temporary name
        own = error.filename in (None, temporary, str(temporary)) and error.errno
        raise OSError(error.errno, error.strerror, str(path)) if own else error from error
    finally:
        with contextlib.suppress(OSError):  # its folder is gone, or not writable any more
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path, own=()):
    """Like `atomic_write` for a folder: gives an empty one, which replaces `path` at the end.

    No system call exchanges two folders everywhere, so for one moment between two renames `path`
    does not exist; it never holds a part of the new folder. Of a link, the folder that it leads to is replaced.

    Args:
        path: the folder to write.
        own: see `check_replaceable`; by default the folder must be new or empty.

    Raises:
        OSError: the folder cannot be written, forced to disk or renamed; it holds something else than `own`; a file
            system is mounted there, or it is the working folder.
    """
    path = Path(os.path.realpath(path))
    if os.path.ismount(path) or path == Path.cwd():
        raise OSError(errno.EBUSY, "mounted, or the working folder, which cannot be replaced; name a folder inside it",
                      str(path))
    check_replaceable(path, own)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = _temporary(path), _temporary(path)
    temporary.mkdir()
    try:
        yield temporary
        for item in (*temporary.rglob("*"), temporary):
            _sync(item)
        check_replaceable(path, own)  # somebody may have put something there in the meantime
        _replace_folder(temporary, path, old)
        _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check_replaceable(path, own=()):
    """Raise FileExistsError if replacing a folder would remove something that is not of an older one of its kind.

    Args:
        path: a folder, which need not exist.
        own: patterns, as in a shell, of the files that a folder of the kind has, as paths in it with "/".
    """
    path = Path(path)
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise FileExistsError(f"'{path}' is a file; expected a new or an empty folder. Name another one")
    others = sorted(name for name in map(str, _contents(path)) if not any(fnmatch.fnmatch(name, one) for one in own))
    if others:
        shown = ", ".join(others[:_SHOWN]) + f" and {len(others) - _SHOWN} more" * (len(others) > _SHOWN)
        raise FileExistsError(f"Folder '{path}' is not empty: it holds {shown}, which would be lost. Name a new folder")


def _contents(folder):
    """Paths below a folder, relative to it and with "/", of files and empty folders; leftovers of a kill are none."""
    for item in folder.rglob("*"):
        inside = item.relative_to(folder)
        is_leftover = any(_LEFTOVER.fullmatch(part) for part in inside.parts)
        if not is_leftover and (item.is_symlink() or not item.is_dir() or not any(item.iterdir())):
            yield inside.as_posix()


def write_json(path, value):
    """Write plain values as JSON, with `atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def parse_json(text, name):
    """The dict that a JSON text holds.

    Args:
        text: str or bytes.
        name: of its file, for the message.

    Raises:
        ValueError: it is something else, or damaged.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"'{name}' holds no JSON, or only a part of it: {error}. Write it anew.") from None
    if not isinstance(value, dict):
        raise ValueError(f"'{name}' holds a {type(value).__name__}; expected names and values, {{...}}. Write it anew.")
    return value


def write_csv(path, rows):
    """Write rows as CSV, with `atomic_write`; names of files that are not UTF-8 keep their bytes.

    A text that a spreadsheet would run as a formula gets a ``'`` before it, as one types there; `csv_text` removes it.
    """
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8",
                                               errors="surrogateescape") as file:
        csv.writer(file).writerows([f"'{cell}" if _is_formula(cell) else cell for cell in row] for row in rows)


def csv_text(cell):
    """The text that `write_csv` wrote as this cell."""
    return cell[1:] if cell[:1] == "'" and _is_formula(cell) else cell


def _is_formula(cell):
    return isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)


def remove_leftovers(folder):
    """Remove the temporary files and folders that a killed process left in `folder`; others may work in those below."""
    for leftover in list(Path(folder).glob(".tmp-*")):
        if not _LEFTOVER.fullmatch(leftover.name):
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _replace_folder(new, path, old):
    if path.exists():
        os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        if old.exists():
            os.rename(old, path)
        raise


def _temporary(path):
    name = os.fsdecode(os.fsencode(path.name)[-_KEPT:])  # its end, which says the format
    return path.with_name(f".tmp-{uuid.uuid4().hex[:12]}-{name}")


def _sync(path):
    """Forces a file, or the names in a folder, to disk."""
    if path.is_dir():
        if os.name == "nt":  # Windows cannot open a folder, and needs no call for its names
            return
        handle = os.open(path, os.O_RDONLY)
    else:
        handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if not path.is_dir() or error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)
