"""PyTorch's two formats, read without it; files that are damaged, hostile or of something else."""

import os
import pickle
import tracemalloc
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from tests import torch_files
from tests.torch_files import Tensor, write_legacy, write_zip
from tf_facenet.weights import torch_file

RNG = np.random.default_rng(0)
FLOATS = RNG.standard_normal(24).astype("f4")
STATE = OrderedDict([
    ("conv.weight", RNG.standard_normal((4, 3, 2, 2)).astype("f4")), ("bn.num_batches_tracked", np.array(7)),
    ("double", RNG.standard_normal(3)), ("half", RNG.standard_normal((2, 2)).astype("f2")),
    ("flags", np.array([True, False])), ("empty", np.zeros((0, 3), "f4"))])


@pytest.fixture(params=torch_files.WRITERS.values(), ids=torch_files.WRITERS)
def write(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pt"


def test_arrays_of_all_types(write, path):
    write(path, STATE)
    read = torch_file.read(path)
    assert list(read) == list(STATE)
    for name, array in STATE.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_views_of_one_storage(write, path):
    write(path, {"rows": Tensor(FLOATS, (4, 6), (6, 1)), "columns": Tensor(FLOATS, (6, 4), (1, 6)),
                 "part": Tensor(FLOATS, (3,), (2,), offset=5)})
    read = torch_file.read(path)
    np.testing.assert_array_equal(read["rows"], FLOATS.reshape(4, 6))
    np.testing.assert_array_equal(read["columns"], FLOATS.reshape(4, 6).T)
    np.testing.assert_array_equal(read["part"], FLOATS[[5, 7, 9]])


def test_bfloat16(write, path):
    bits = (FLOATS.view("u4") >> 16).astype("u2").view("V2")
    write(path, {"weight": Tensor(bits, (24,), (1,), kind="BFloat16Storage")})
    np.testing.assert_allclose(torch_file.read(path)["weight"].astype("f4"), FLOATS, rtol=2**-7)


@pytest.mark.parametrize("value", [
    {"epoch": 3, "net_state_dict": STATE}, {"model": STATE, "optimizer": {"state": {0: {"m": FLOATS}}, "lr": 0.1}},
    {"state_dict_softmax_fc": {"weight": FLOATS}, "state_dict_backbone": STATE, "note": ("a", None, [1.5])}])
def test_the_dict_with_the_most_tensors_is_the_network(write, path, value):
    write(path, value)
    assert list(torch_file.read(path)) == list(STATE)


def test_any_part_of_a_file_is_refused(write, path):
    write(path, STATE)
    data = path.read_bytes()
    for length in (20, len(data) // 4, len(data) // 2, len(data) - 40, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"model.pt': (is damaged or not whole|is not whole|the pickle)"):
            torch_file.read(path)


def test_a_changed_byte_of_a_zip_file_is_noticed(path):
    write_zip(path, STATE)
    data = bytearray(path.read_bytes())
    data[data.find(STATE["conv.weight"].tobytes()) + 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged or not whole"):
        torch_file.read(path)


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def test_code_is_refused_by_name(write, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(path, {"weight": FLOATS, "evil": Bomb()})
    with pytest.raises(ValueError, match=r"model.pt': the pickle refuses posix.system; .*; expected weights alone"):
        torch_file.read(path)
    assert os.listdir() == ["model.pt"]


def test_code_in_a_bare_pickle_is_refused_too(path):
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"refuses posix.system"):
        torch_file.read(path)


@pytest.mark.parametrize(("data", "what"), [
    (pickle.dumps([1, 2]) * 3, "is a pickle that torch.save did not write"),
    (pickle.dumps(7), "ends before its end is said"),
    (pickle.dumps(torch_files.MAGIC_NUMBER, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": False}, 2),
     "big-endian")])
def test_other_pickles(path, data, what):
    path.write_bytes(data)
    with pytest.raises(ValueError, match=what):
        torch_file.read(path)


@pytest.mark.parametrize("value", [{}, [1, 2], {"a": {"b": {"c": {"weight": FLOATS}}}}, {"epoch": 3}])
def test_no_weights(write, path, value):
    write(path, value)
    with pytest.raises(ValueError, match=f"holds a {type(value).__name__} without named tensors"):
        torch_file.read(path)


@pytest.mark.parametrize("tensor", [
    Tensor(FLOATS, (5, 5), (5, 1)), Tensor(FLOATS, (2,), (24,)), Tensor(FLOATS, (1,), (1,), offset=24),
    Tensor(FLOATS, (10**9, 24), (0, 1)), Tensor(FLOATS, (2,), (-1,)), Tensor(FLOATS, (2, 2), (1,)),
    Tensor(FLOATS, (2.0,), (1,)), Tensor(FLOATS, (2**70,), (0,))])
def test_tensors_that_do_not_lie_in_their_storage(write, path, tensor):
    write(path, {"weight": tensor})
    with pytest.raises(ValueError, match="gives torch._utils._rebuild_tensor_v2 what it does not take"):
        torch_file.read(path)


def test_a_storage_that_says_it_is_larger_than_the_file(path):
    write_legacy(path, {"weight": FLOATS})
    path.write_bytes(path.read_bytes().replace(bytes([ord("K"), 24]), b"J\xff\xff\xff\x7f").replace(
        (24).to_bytes(8, "little"), (2**31 - 1).to_bytes(8, "little")))
    tracemalloc.start()
    with pytest.raises(ValueError, match="is not whole: storage 0 has 96 bytes"):
        torch_file.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(("member", "what"), [
    ("archive/code/model.py", "is a TorchScript program; expected weights alone"), ("archive/extra", None)])
def test_members_of_a_zip_file(path, member, what):
    write_zip(path, STATE)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, "x")
    if what is None:
        assert list(torch_file.read(path)) == list(STATE)
    else:
        with pytest.raises(ValueError, match=what):
            torch_file.read(path)


def test_zip_files_of_others(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match=r"without data.pkl"):
        torch_file.read(path)
    write_zip(path, {"weight": np.zeros(10**6, "f4")}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="unpacks to more than the file holds"):
        torch_file.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}))
        archive.writestr("a/byteorder", "big")
    with pytest.raises(ValueError, match="big-endian"):
        torch_file.read(path)


def test_dicts_that_hold_each_other_cost_little(path):
    value = inner = {}
    for _ in range(3):
        inner = dict.fromkeys(map(str, range(300)), inner)
    value = inner
    write_legacy(path, value)
    with pytest.raises(ValueError, match="without named tensors"):
        torch_file.read(path)
