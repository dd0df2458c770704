"""Checkpoints: everything that decides the next step, in one file that is whole or absent.

A checkpoint is an ``.npz`` archive: ``ROLE/0000`` … hold the variables of each role (model,
optimizer, average) in their order, ``manifest.json`` their paths and shapes, the step and the
options. NumPy reads it without pickle; the archive's checksums tell a damaged file.
"""

import json
import logging
import re
import zipfile
from pathlib import Path

import keras
import numpy as np

from tf_facenet.files import atomic_write
from tf_facenet.training.loop import NonFiniteError

logger = logging.getLogger(__name__)

FORMAT = 1


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
            state: role → list of Keras variables.
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
        for old in self.paths()[:-self.keep]:
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
            ValueError: it belongs to another network.
        """
        for path in reversed(self.paths()):
            try:
                with zipfile.ZipFile(path) as archive:
                    return _restore(archive, state, path.name)
            except (zipfile.BadZipFile, EOFError) as error:
                logger.warning("%s is damaged (%s); trying the one before", path, error)
        raise OSError(f"no readable checkpoint in {self.folder}; expected checkpoint-*.npz. "
                      "Nothing was finished there: start the run again without --resume")


def read_arrays(path, role):
    """Arrays of one role in a checkpoint file, by the paths of their variables."""
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        return {name: _read(archive, f"{role}/{index:04d}")
                for index, (name, _) in enumerate(manifest["variables"][role])}


def _describe(variable):
    return [variable.path, list(variable.shape)]


def _write(archive, name, variable):
    array = keras.ops.convert_to_numpy(variable)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NonFiniteError(f"{variable.path} holds values that are not finite")
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _restore(archive, state, name):
    if archive.testzip():
        raise zipfile.BadZipFile(f"checksum of {archive.testzip()}")
    manifest = json.loads(archive.read("manifest.json"))
    for role, variables in state.items():
        stored = [tuple(shape) for _, shape in manifest["variables"][role]]
        if stored != [tuple(variable.shape) for variable in variables]:
            raise ValueError(f"checkpoint {name} holds {len(stored)} {role} variables of other "
                             f"shapes than this run's {len(variables)}; was it another network?")
    for role, variables in state.items():
        for index, variable in enumerate(variables):
            variable.assign(_read(archive, f"{role}/{index:04d}"))
    return manifest


def _read(archive, name):
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)
