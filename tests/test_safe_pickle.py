"""The machine that reads pickles of strangers: equal to Python's where it builds, and deaf to the rest."""

import io
import os
import pickle
import re
import struct
import tracemalloc
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_facenet import safe_pickle

CODECS = {("_codecs", "encode"): lambda text, encoding: text.encode(encoding)}  # bytes of protocols 0 to 2
# Protocols 0 to 2 write empty bytes as a call of `bytes`.
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(min_size=1),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_builds_what_python_builds(protocol):
    @settings(max_examples=25, deadline=None, database=None, derandomize=True)
    @given(PLAIN)
    def equal(value):
        data = pickle.dumps([value, value], protocol)
        got = safe_pickle.loads(data, CODECS, allowance=2**20)
        assert got == [value, value]
        assert repr(got) == repr(pickle.loads(data))  # also the types

    equal()


@pytest.mark.parametrize("data", [
    b"S'a\\xff\\n\"'\n.", b'S"a\\xff\\n\\""\n.', b"U\x04a\xff\n\".", b"T\x04\0\0\0a\xff\n\"."])
def test_strings_of_python_2_are_bytes(data):
    assert safe_pickle.loads(data, {}) == b'a\xff\n"'


def test_the_same_object_stays_one():
    shared = ["x"]
    got = safe_pickle.loads(pickle.dumps([shared, shared], 2), {})
    assert got[0] is got[1]


def test_several_pickles_in_a_row():
    file = io.BytesIO(b"head" + pickle.dumps(1, 2) + pickle.dumps({"a": (2,)}, 4) + b"raw bytes")
    file.seek(4)
    assert [safe_pickle.load(file, {}) for _ in range(2)] == [1, {"a": (2,)}]
    assert file.read() == b"raw bytes"


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("data", [pickle.dumps(Bomb(), protocol) for protocol in range(6)] + [
    b"cos\nsystem\n(S'touch exploded'\ntR.", b"(S'touch exploded'\nios\nsystem\n.",
    b"(cos\nsystem\nS'touch exploded'\no.", b"\x80\x02cos\nsystem\nS'touch exploded'\n\x85\x81."])
def test_system_is_refused_and_not_called(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"refuses (os|posix|nt).system|instruction (INST|OBJ|NEWOBJ)"):
        safe_pickle.loads(data, CODECS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["builtins eval", "builtins getattr", "builtins bytearray", "copyreg _reconstructor"])
def test_any_global_that_is_not_allowed_is_named(name):
    module, _, function = name.partition(" ")
    text = f"the pickle refuses {module}.{function}; the globals allowed are _codecs.encode (byte 2)"
    with pytest.raises(ValueError, match=re.escape(text)):
        safe_pickle.loads(b"\x80\x02c" + name.replace(" ", "\n").encode() + b"\n.", CODECS)


LENGTH = 20_000
BOMBS = {
    "lists": b"]" * LENGTH, "dicts": b"}" * LENGTH, "marks": b"(" * LENGTH, "nothings": b"N" * LENGTH,
    "tuples": b")" + b"\x85" * LENGTH, "copies": b"N" + b"2" * LENGTH, "notes": b"N" + b"\x94" * LENGTH,
    "lists in lists": b"]" + b"]a" * LENGTH, "numbers": b"(" + b"K\x00" * LENGTH + b"l.",
    "keys": b"}(" + b"".join(b"J" + struct.pack("<i", n) + b"N" for n in range(LENGTH // 6)) + b"u.",
    "wide text": b"(" + b"X\x06\0\0\0ab\xf0\x9f\x98\x80" * (LENGTH // 11) + b"l.",
    "returns": b"]q\x00" + b"h\x00" * LENGTH,
    "long number": b"\x8b" + struct.pack("<i", LENGTH) + b"\xff" * LENGTH + b".",
    "decimal number": b"I" + b"9" * LENGTH + b"\n.",
    "high note": b"Nr\xff\xff\xff\x7f.", "high note, by text": b"Np99999999\n.",
    "bytes beyond the end": b"B\xff\xff\xff\x7fab", "8 bytes of length": b"\x8e" + b"\xff" * 7 + b"\x7fab",
    "text beyond the end": b"\x8d" + b"\xff" * 6 + b"\x00\x00ab",
    "bytearray beyond the end": b"\x96" + b"\xff" * 6 + b"\0\0ab",
    "frame": b"\x95" + b"\xff" * 6 + b"\0\0N.", "deep tuple as a key": b"})" + b"\x85" * 1000 + b"Ns.",
    "many tuples as a key": b"})" + b"2\x86" * 300 + b"Ns."}


@pytest.mark.parametrize("name", BOMBS)
def test_memory_stays_near_the_length(name):
    data = BOMBS[name]
    tracemalloc.start()
    message = "the pickle (byte 0)"
    try:
        safe_pickle.loads(data, {})
    except ValueError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert re.fullmatch(r"the pickle .{0,300}\(byte \d+\)", message)
    assert peak < 20 * len(data) + safe_pickle.ALLOWANCE + 2**15


@pytest.mark.parametrize(("data", "message"), [
    (b"", "is empty (byte 0)"),
    (b"]", "ends before its end is said: is the file whole? (byte 1)"),
    (b".", "takes a value from an empty stack (byte 0)"),
    (b"\xff.", r"has the instruction ff, which is not allowed (byte 0)"),
    (b"\x8f.", "has the instruction EMPTY_SET, which is not allowed (byte 0)"),
    (b"I1\n]0e.", "goes back to a mark that is not there (byte 5)"),
    (b"NNa.", "needs a list on its stack, where there is none (byte 2)"),
    (b"h\x05.", "comes back to a value (5) that it has not noted (byte 0)"),
    (b"})Ns.", "has a dict whose keys are not text or whole numbers (byte 3)"),
    (b"}(Nu.", "has a dict whose keys are not text or whole numbers (byte 3)"),
    (b"Ix\n.", "is damaged or not whole: invalid literal"),
    (b"X\x05\0\0\0a", "is damaged or not whole: expected 5 bytes"),
    (b"Sabc\n.", "is damaged or not whole: a string without quotes (byte 0)"),
    (b"NN\x93.", "names a global by something that is not text (byte 2)"),
    (b"N)R.", "calls a value of type NoneType, which is not allowed (byte 2)"),
    (b"c_codecs\nencode\nNR.", "calls a value of type function, which is not allowed (byte 17)"),
    (b"c_codecs\nencode\n)R.", "gives _codecs.encode what it does not take: "),
    (b"ccollections\nOrderedDict\n(lp0\n\x85R.", "calls collections.OrderedDict with arguments; expected none (by"),
    (b"Pnumber\n.", "has a persistent id, which is not allowed (byte 0)"),
])
def test_damage_is_told_with_its_place(data, message):
    with pytest.raises(ValueError, match=re.escape(f"the pickle {message}")):
        safe_pickle.loads(data, {**CODECS, ("collections", "OrderedDict"): OrderedDict})


def test_persistent_ids():
    class Writer(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", len(value)) if isinstance(value, bytes) else None

    file = io.BytesIO()
    Writer(file, 2).dump([b"abc", 1])
    assert safe_pickle.loads(file.getvalue(), {}, lambda number: {"storage": "S"}[number[0]] * number[1]) == ["SSS", 1]
    assert safe_pickle.loads(b"P7\n.", {}, int) == 7
    with pytest.raises(ValueError, match="gives persistent_load what it does not take: invalid literal"):
        safe_pickle.loads(b"Px\n.", {}, int)


class Point:
    def __init__(self):
        self.state = None

    def __setstate__(self, state):
        self.state = state


def test_state_goes_only_where_it_is_expected():
    allowed = {("collections", "OrderedDict"): OrderedDict, ("geometry", "Point"): Point}
    value = safe_pickle.loads(b"cgeometry\nPoint\n)R(K\x01K\x02tb.", allowed)
    assert value.state == (1, 2)
    value = OrderedDict(a=1)
    value.keys = "not a method"
    got = safe_pickle.loads(pickle.dumps(value, 2), allowed)
    assert list(got.keys()) == ["a"]
