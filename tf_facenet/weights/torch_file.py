"""Arrays of PyTorch files (.pt, .pth, .ckpt), read without PyTorch; nothing in the file is run.

Two formats (pytorch torch/serialization.py, BSD licence; a description, no code of it):

- zip, since 1.6: ``<root>/data.pkl`` is a pickle, ``<root>/data/<key>`` are the bytes of its storages;
- legacy, which facenet-pytorch and MobileFaceNet_Pytorch have: pickles of a magic number, the version, the machine,
  the value and the keys of its storages, then each storage as a count (int64) and its bytes.

In both a tensor is a view of a storage: offset, shape and strides, counted in values.
"""

import collections
import dataclasses
import math
import os
import zipfile
import zlib

import ml_dtypes
import numpy as np

from tf_facenet import safe_pickle

ZIP_START, PICKLE_START = b"PK\x03\x04", b"\x80"
MAGIC_NUMBER = 0x1950a86a20f9469cfc6c  # of the legacy format
ALLOWANCE = 2**20  # bytes of memory that reading a file may take beside what its size allows
DEPTH = 3  # of dicts in which the state dict may lie

_BROKEN = (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, KeyError, EOFError)


def read(path):
    """The state dict of a PyTorch file.

    Of several, such as those of a network and of its optimizer, it is the one with the most tensors.

    Args:
        path: file that `torch.save` wrote.

    Returns:
        dict: name → array in PyTorch's layout.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged or not whole, holds anything but weights, or no weights.
    """
    with open(path, "rb") as file:
        is_zip = file.read(len(ZIP_START)) == ZIP_START
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        try:
            return _read_zip(file, size) if is_zip else _read_legacy(file, size)
        except ValueError as error:
            remedy = f"; {_REMEDY}" if "refuses" in str(error) else ""
            raise ValueError(f"PyTorch file '{path}': {error}{remedy}") from None


def _read_zip(file, size):
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > size:
                raise ValueError("unpacks to more than the file holds; PyTorch does not compress")
            root = _root(archive)
            with archive.open(f"{root}data.pkl") as pickled:
                state = _state_dict(safe_pickle.loads(pickled.read(), _GLOBALS, _storage, ALLOWANCE + size))
            contents = {key: archive.read(f"{root}data/{key}") for key in _keys(state)}
    except _BROKEN as error:
        raise ValueError(f"is damaged or not whole ({' '.join(str(error).split())})") from None
    return {name: tensor.array(contents) for name, tensor in state.items()}


def _root(archive):
    """The folder in the archive that holds everything."""
    names = archive.namelist()
    root = next((name.removesuffix("data.pkl") for name in names if name.endswith("data.pkl")), None)
    if root is None:
        raise ValueError("is a zip archive without data.pkl, so that torch.save did not write it")
    if any(name.startswith(f"{root}code/") for name in names):
        raise ValueError(f"is a TorchScript program; {_REMEDY}")
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("was written on a big-endian machine; save it again on another")
    return root


def _read_legacy(file, size):
    magic, _version, machine = (safe_pickle.load(file, {}) for _ in range(3))
    if magic != MAGIC_NUMBER:
        raise ValueError(f"is a pickle that torch.save did not write; {_REMEDY}")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise ValueError("was written on a big-endian machine; save it again on another")
    storages = {}

    def storage(number):
        made = _storage(number)
        return storages.setdefault(made.key, made)

    state = _state_dict(safe_pickle.load(file, _GLOBALS, storage, ALLOWANCE + size))
    contents = {}
    for key in safe_pickle.load(file, {}):
        if key not in storages:
            raise ValueError(f"has bytes of a storage {key!r:.40} that no tensor has")
        stored = storages[key]
        if file.read(8) != stored.size.to_bytes(8, "little"):
            raise ValueError(f"is not whole: storage {key} does not begin with its size, {stored.size}")
        contents[key] = file.read(min(stored.size * stored.dtype.itemsize, size - file.tell()))
    return {name: tensor.array(contents) for name, tensor in state.items()}


def _state_dict(value):
    """The dict name → tensor with the most tensors, among the value and the dicts in it."""
    best, level, seen = {}, [value], {}
    for _ in range(DEPTH):
        level = {id(item): item for item in level if isinstance(item, dict) and id(item) not in seen}
        seen |= level
        for item in level.values():
            tensors = {name: tensor for name, tensor in item.items()
                       if isinstance(name, str) and isinstance(tensor, _Tensor)}
            best = max(best, tensors, key=len)
        level = [inner for item in level.values() for inner in item.values()]
    if not best:
        raise ValueError(f"holds a {type(value).__name__} without named tensors; {_REMEDY}")
    return best


def _keys(state):
    return {tensor.storage.key for tensor in state.values()}


@dataclasses.dataclass(frozen=True)
class _Storage:
    """Values of one type, one after the other in the file."""

    dtype: np.dtype
    key: str
    size: int


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A view of a storage; counts are of values."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple

    def array(self, contents):
        """The values; `contents`: key of a storage → bytes."""
        dtype, data = self.storage.dtype, contents.get(self.storage.key, b"")
        if len(data) != self.storage.size * dtype.itemsize:
            raise ValueError(f"is not whole: storage {self.storage.key} has {len(data)} bytes instead of "
                             f"{self.storage.size * dtype.itemsize}")
        values = np.frombuffer(data, dtype)[self.offset:]
        strides = [stride * dtype.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values, self.shape, strides, writeable=False)


def _storage(number):
    """The storage that a persistent id means: ("storage", type, key, device, size), legacy files add a view."""
    word, dtype, key, _device, size, *view = number
    if word != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str) or not _counts(size):
        raise ValueError("no storage")
    if view not in ([], [None]):
        raise ValueError("a view of a storage, which is not supported; save the file again with a newer PyTorch")
    return _Storage(dtype, key, size)


def _rebuild_tensor(storage, offset, shape, strides, *_):
    """What `torch._utils._rebuild_tensor_v2` builds, checked so that it lies in its storage and is no larger."""
    if not (isinstance(storage, _Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)
            and len(shape) == len(strides) <= 8 and _counts(offset, *shape, *strides)):
        raise ValueError("no tensor")
    end = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True)) + 1
    if math.prod(shape) and (end > storage.size or math.prod(shape) > storage.size):
        raise ValueError(f"a tensor {list(shape)} that is larger than its storage of {storage.size} values")
    return _Tensor(storage, offset, shape, strides)


def _counts(*values):
    return all(type(value) is int and 0 <= value < 2**62 for value in values)


_REMEDY = "expected weights alone, as torch.save(model.state_dict(), path) writes them"
_TYPES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": ml_dtypes.bfloat16, "Long": "<i8", "Int": "<i4",
          "Short": "<i2", "Char": "i1", "Byte": "u1", "Bool": "?"}
_GLOBALS = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor"): lambda *view: _rebuild_tensor(*view),
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    **{("torch", f"{name}Storage"): np.dtype(code) for name, code in _TYPES.items()},
}
