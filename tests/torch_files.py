"""Files as `torch.save` writes them, without PyTorch: for tests of their reader."""

import collections
import contextlib
import io
import pickle
import sys
import types
import zipfile

import numpy as np

MAGIC_NUMBER, VERSION = 0x1950A86A20F9469CFC6C, 1001
MACHINE = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage", "b1": "BoolStorage",
            "V2": "BFloat16Storage", "u1": "ByteStorage"}


class Tensor:
    """What pickles like a torch.Tensor that is a view of a one-dimensional array."""

    def __init__(self, base, shape, strides, offset=0, kind=None):
        self.base, self.view = np.ascontiguousarray(base), (offset, tuple(shape), tuple(strides))
        self.kind = kind or STORAGES[self.base.dtype.str[1:]]

    @classmethod
    def of(cls, array):
        array = np.asarray(array)
        strides = np.empty(array.shape, array.dtype).strides
        return cls(array.ravel(), array.shape, [stride // array.itemsize for stride in strides])

    def __reduce__(self):
        build = sys.modules["torch._utils"]._rebuild_tensor_v2
        return build, (_Storage(self), *self.view, False, collections.OrderedDict())


class _Storage:
    def __init__(self, tensor):
        self.tensor = tensor


class _Pickler(pickle.Pickler):
    def __init__(self, file, bases):
        super().__init__(file, 2)
        self.bases = bases  # key → array

    def persistent_id(self, value):
        if not isinstance(value, _Storage):
            return None
        key = str(next((key for key, base in self.bases.items() if base is value.tensor.base), len(self.bases)))
        self.bases[key] = value.tensor.base
        kind = getattr(sys.modules["torch"], value.tensor.kind)
        return "storage", kind, key, "cpu", len(value.tensor.base), *self.more

    more = ()


class _LegacyPickler(_Pickler):
    more = (None,)


@contextlib.contextmanager
def _torch():
    """Modules by whose names PyTorch's objects are pickled."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    exec("def _rebuild_tensor_v2(): pass", utils.__dict__)
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    torch._utils = utils
    old = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        yield
    finally:
        for name, module in old.items():
            sys.modules.pop(name)
            if module:
                sys.modules[name] = module


def _wrap(value, known):
    """A copy with tensors for arrays; what is one object stays one."""
    if id(value) not in known:
        known[id(value)] = (type(value)((key, _wrap(inner, known)) for key, inner in value.items())
                            if isinstance(value, dict)
                            else Tensor.of(value) if isinstance(value, np.ndarray) else value)
    return known[id(value)]


def _pickled(pickler, value):
    file, bases = io.BytesIO(), {}
    with _torch():
        pickler(file, bases).dump(_wrap(value, {}))
    return file.getvalue(), bases


def write_zip(path, value, compression=zipfile.ZIP_STORED):
    data, bases = _pickled(_Pickler, value)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", "little")
        for key, base in bases.items():
            archive.writestr(f"archive/data/{key}", base.tobytes())
        archive.writestr("archive/version", "3\n")


def write_legacy(path, value):
    data, bases = _pickled(_LegacyPickler, value)
    with open(path, "wb") as file:
        for head in (MAGIC_NUMBER, VERSION, MACHINE):
            pickle.dump(head, file, 2)
        file.write(data)
        pickle.dump(sorted(bases), file, 2)
        for key in sorted(bases):
            file.write(len(bases[key]).to_bytes(8, "little") + bases[key].tobytes())


WRITERS = {"zip": write_zip, "legacy": write_legacy}
