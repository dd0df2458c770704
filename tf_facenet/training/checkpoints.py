"""Checkpoints: everything that decides the next step, in one file that is whole or absent.

A checkpoint is an ``.npz`` archive: ``ROLE/0000`` … hold the variables of each role (model,
optimizer, average) in their order, ``manifest.json`` their paths and shapes, the step and the
options. NumPy reads it without pickle; the archive's checksums tell a damaged file.
"""

import collections
import itertools
import json
import logging
import math
import re
import zipfile
from pathlib import Path

import keras
import numpy as np

from tf_facenet.files import DAMAGES, atomic_write, parse_json
from tf_facenet.finite import check_finite
from tf_facenet.training.spread import Rows

logger = logging.getLogger(__name__)

FORMAT = 1


class OtherNetworkError(ValueError):
    """A checkpoint holds other variables than the run has, or is of a later version."""


class Checkpoints:
    """The last few checkpoints of a run.

    Args:
        folder: where they are; made when the first is written.
        keep: how many to keep.
    """

    def __init__(self, folder, keep=3):
        self.folder = Path(folder)
        self.keep = keep

    def paths(self):
        """Checkpoint files, oldest first."""
        return sorted(path for path in self.folder.glob("checkpoint-*.npz")
                      if re.fullmatch(r"checkpoint-\d+\.npz", path.name))

    def save(self, state, step, **meta):
        """Write one checkpoint and remove those that are too old.

        Args:
            state: role → list of Keras variables, and of `spread.Rows`, which are written block by block.
            step: number of finished steps.
            **meta: JSON values stored with it.

        Raises:
            NonFiniteError: a variable holds NaN or infinity; nothing is written.
            OSError: the disk is full or not writable; earlier checkpoints stay.
        """
        path = self.folder / f"checkpoint-{step:09d}.npz"
        manifest = {"format": FORMAT, "step": step, **meta,
                    "variables": {role: [_describe(variable) for variable in variables]
                                  for role, variables in state.items()}}
        try:
            with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
                archive.writestr("manifest.json", json.dumps(manifest))
                for role, variables in state.items():
                    for index, variable in enumerate(variables):
                        _write(archive, f"{role}/{index:04d}", variable)
        except OSError as error:
            raise OSError(f"cannot write checkpoint {path}: {error.strerror or error}. Free some "
                          f"space; {self.what_is_left()}") from error
        others = [other for other in self.paths() if other != path]  # a damaged one may seem newer
        for old in others[:len(others) + 1 - self.keep]:
            old.unlink()
        return path

    def what_is_left(self):
        """Where a run that had to stop can go on, for a message."""
        paths = self.paths()
        return (f"{paths[-1].name} is intact, go on with --resume" if paths
                else "none was written yet, start again")

    def restore(self, state):
        """Read the newest checkpoint that is whole into the variables.

        Args:
            state: role → list of Keras variables, as for `save`.

        Returns:
            The manifest: ``step`` and what `save` was given.

        Raises:
            OSError: there is no readable checkpoint.
            OtherNetworkError: it belongs to another network.
        """
        for path in reversed(self.paths()):
            try:
                with zipfile.ZipFile(path) as archive:
                    return _restore(archive, state)
            except OtherNetworkError:
                raise
            except DAMAGES as error:
                logger.warning("%s is damaged (%s); trying the one before", path, error)
        raise OSError(f"no readable checkpoint in {self.folder}; expected checkpoint-*.npz. "
                      "Nothing was finished there: start the run again without --resume")


def read_arrays(path, role):
    """Arrays of one role in a checkpoint file, by the paths of their variables.

    Raises:
        ValueError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive)
            return {name: _read(archive, f"{role}/{index:04d}")
                    for index, (name, _) in enumerate(manifest["variables"][role])}
    except DAMAGES as error:
        raise _damaged(path, error) from error


def load(variables, path):
    """Read some of the model's variables, by their paths.

    Args:
        variables: Keras variables, or `spread.Rows` of them.
        path: a checkpoint file.

    Returns:
        Whether all of them are there with the same shapes; if not, none is changed.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            stored = {name: (index, tuple(shape)) for index, (name, shape) in enumerate(
                _manifest(archive)["variables"]["model"])}
            found = [stored.get(variable.path, (0, None)) for variable in variables]
            if [shape for _, shape in found] != [tuple(variable.shape) for variable in variables]:
                return False
            for variable, (index, _) in zip(variables, found, strict=True):
                _fill(variable, archive, f"model/{index:04d}")
            return True
    except DAMAGES as error:
        raise _damaged(path, error) from error


def _damaged(path, error):
    return ValueError(f"checkpoint '{path}' is damaged: {error}. Name another run, or remove the file to use the one "
                      "before")


def _describe(variable):
    return [variable.path, list(variable.shape)]


def _write(archive, name, variable):
    header = {"descr": np.dtype(variable.dtype).str, "fortran_order": False, "shape": tuple(variable.shape)}
    blocks = variable.blocks() if _is_spread(variable) else [keras.ops.convert_to_numpy(variable)]
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            check_finite(variable.path, block)
            file.write(np.ascontiguousarray(block).data)


def take_part(state):
    """What a worker that is not the chief does while the chief saves: it gives its rows of spread variables."""
    for variable in itertools.chain(*state.values()):
        if _is_spread(variable):
            collections.deque(variable.blocks(), maxlen=0)


def _is_spread(variable):
    return isinstance(variable, Rows)


def _restore(archive, state):
    if archive.testzip():
        raise zipfile.BadZipFile(f"checksum of {archive.testzip()}")
    manifest = _manifest(archive)
    for role, variables in state.items():
        stored = [tuple(shape) for _, shape in manifest["variables"][role]]
        if stored != [tuple(variable.shape) for variable in variables]:
            raise OtherNetworkError(f"checkpoint {archive.filename} holds {len(stored)} {role} variables of other "
                             f"shapes than this run's {len(variables)}; was it another network?")
    for role, variables in state.items():
        for index, variable in enumerate(variables):
            _fill(variable, archive, f"{role}/{index:04d}")
    return manifest


def _fill(variable, archive, name):
    if not _is_spread(variable):
        values = _read(archive, name)
        check_finite(variable.path, values)
        variable.assign(values)
        return
    with archive.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        _, _, dtype = np.lib.format.read_array_header_1_0(file)
        begin, row = file.tell(), dtype.itemsize * math.prod(variable.shape[1:])

        def read(first, count):
            file.seek(begin + first * row)
            values = np.frombuffer(file.read(count * row), dtype).reshape(count, *variable.shape[1:])
            check_finite(variable.path, values)
            return values

        variable.fill(read)


def _manifest(archive):
    manifest = parse_json(archive.read("manifest.json"), "manifest.json")
    if manifest["format"] != FORMAT:
        raise OtherNetworkError(f"{archive.filename} has the format {manifest['format']!r:.20}, this version reads "
                                f"{FORMAT}; go on with the version that wrote it")
    if not isinstance(manifest["step"], int) or manifest["step"] < 0:
        raise ValueError(f"its step is {manifest['step']!r:.20}")
    return manifest


def _read(archive, name):
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)
