import io
import json
import zipfile

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tf_facenet.finite import NonFiniteError
from tf_facenet.training.checkpoints import Checkpoints, read_arrays


def state(value):
    return {"model": [keras.Variable(np.full((2, 3), value, "float32"), name="kernel"),
                      keras.Variable(np.array([value, 0], "int64"), dtype="int64", name="seed")],
            "optimizer": [keras.Variable(np.float32(value), name="momentum")], "average": []}


def values(of):
    return [float(numpy(variable).ravel()[0]) for role in of.values() for variable in role]


def test_round_trip(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    path = checkpoints.save(state(7), step=12, options={"seed": 1}, threshold=None)
    assert path.name == "checkpoint-000000012.npz"
    restored = state(0)
    manifest = checkpoints.restore(restored)
    assert (manifest["step"], manifest["options"]) == (12, {"seed": 1})
    assert values(restored) == [7, 7, 7]


def test_readable_by_numpy_without_pickle(tmp_path):
    path = Checkpoints(tmp_path).save(state(7), step=1)
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["variables"]["model"][0][1] == [2, 3]
    with zipfile.ZipFile(path) as archive, archive.open("model/0000.npy") as file:
        np.testing.assert_array_equal(np.lib.format.read_array(file, allow_pickle=False),
                                      np.full((2, 3), 7))


def test_the_last_ones_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 10, 100):
        checkpoints.save(state(step), step)
    assert [path.name for path in checkpoints.paths()] == [
        "checkpoint-000000010.npz", "checkpoint-000000100.npz"]


def test_the_new_one_is_kept_beside_a_damaged_one_that_seems_newer(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    (tmp_path / "checkpoint-000000030.npz").write_bytes(b"half")
    path = checkpoints.save(state(25), 25)
    assert checkpoints.paths() == [path]


def test_a_damaged_one_is_passed_over(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(5), 5)
    newest = checkpoints.save(state(10), 10)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    newest.write_bytes(content)
    restored = state(0)
    assert checkpoints.restore(restored)["step"] == 5
    assert values(restored) == [5, 5, 5]
    newest.write_bytes(content[:50])
    assert checkpoints.restore(restored)["step"] == 5


def test_nothing_to_restore(tmp_path):
    with pytest.raises(OSError, match="no readable checkpoint in .*start the run again"):
        Checkpoints(tmp_path).restore(state(0))


def test_another_network(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(5), 5)
    other = {**state(0), "model": [keras.Variable(np.zeros((4, 4)), name="kernel")]}
    with pytest.raises(ValueError, match="holds 2 model variables of other shapes than this run"):
        checkpoints.restore(other)


def test_nan_is_never_saved(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(NonFiniteError, match="kernel holds values that are not finite"):
        checkpoints.save({"model": [keras.Variable(np.float32("nan"), name="kernel")]}, 5)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_previous_one(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(5), 5)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(OSError, match="No space left on device.*checkpoint-000000005.npz is intact"):
        checkpoints.save(state(10), 10)
    monkeypatch.undo()
    restored = state(0)
    assert checkpoints.restore(restored)["step"] == 5
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000000005.npz"]


def rewrite(path, **changes):
    """The same archive with other members, whose checksums are right; None = missing."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)


def array(values):
    file = io.BytesIO()
    np.lib.format.write_array(file, values, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("changes", [
    {"manifest.json": b"{"}, {"manifest.json": b"[]"}, {"manifest.json": b"[" * 100_000}, {"manifest.json": None},
    {"manifest.json": b'{"format": 1, "step": "x", "variables": {}}'}, {"manifest.json": b'{"format": 1, "step": 1}'},
    {"model/0000.npy": None}, {"model/0000.npy": b""}, {"model/0000.npy": b"\x93NUMPY\x01\0\x0a\0{'descr':\n"},
    {"model/0000.npy": array(np.array([None] * 6, object).reshape(2, 3))}, {"model/0000.npy": array(np.zeros(5))},
    {"model/0000.npy": array(np.full((2, 3), np.nan, "float32"))}])
def test_archives_of_something_else_are_passed_over(changes, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(5), 5)
    rewrite(checkpoints.save(state(10), 10), **changes)
    restored = state(0)
    assert checkpoints.restore(restored)["step"] == 5
    assert values(restored) == [5, 5, 5]


def test_checkpoints_of_a_later_version(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    rewrite(checkpoints.save(state(5), 5), **{"manifest.json": b'{"format": 2, "step": 5}'})
    with pytest.raises(ValueError, match="has the format 2, this version reads 1"):
        checkpoints.restore(state(0))


def test_arrays_of_a_damaged_checkpoint(tmp_path):
    path = Checkpoints(tmp_path).save(state(5), 5)
    rewrite(path, **{"manifest.json": b"{}"})
    with pytest.raises(ValueError, match="checkpoint-000000005.npz' is damaged"):
        read_arrays(path, "model")
