"""The format: literal bytes, records in parts, what is refused."""

import re
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_facenet.data.recordio import HEADER, MAGIC, RecordFile, RecordWriter, split

LITERAL = bytes.fromhex(
    "0a23d7ce" "1b000000"  # magic; a whole record of 27 bytes
    "00000000" "00004040" "0100000000000000" "0000000000000000" "616263" "00"  # flag 0, label 3.0, id 1, id2 0, abc
    "0a23d7ce" "20000000"
    "02000000" "00000000" "0000000000000000" "0100000000000000" "00000040" "00004040")  # two labels, 2.0 and 3.0; id2 1


def written(folder, *records):
    with RecordWriter(folder / "x.rec", folder / "x.idx") as writer:
        for record in records:
            writer.write(*record)
    return folder / "x.rec"


def test_bytes_of_a_file_and_its_index(tmp_path):
    path = written(tmp_path, (1, 3, b"abc"), (0, (2, 3), b"", 1))
    assert path.read_bytes() == LITERAL
    assert (tmp_path / "x.idx").read_bytes() == b"1\t0\n0\t36\n"
    with RecordFile(path) as file:
        assert file.walk().tolist() == [0, 36]
        assert [file.image(0), file.image(36)] == [b"abc", b""]
        assert file.read(0) == LITERAL[8:35]
        assert (file.end(0), file.end(36)) == (36, 76)


def test_a_payload_with_the_magic_at_a_multiple_of_four_is_stored_in_parts(tmp_path):
    image = b"1234" + MAGIC + b"xy" + MAGIC + b"z" + MAGIC * 2  # the second one is not at a multiple
    path = written(tmp_path, (7, 0, image + b"...."), (8, 1, b"next"))
    data = path.read_bytes()
    kinds, lengths = zip(*[(word >> 29, word & (1 << 29) - 1) for at in (0, 36, 0) for word in
                           struct.unpack_from("<I", data, at + 4)], strict=True)
    assert (kinds[:2], lengths[:2]) == ((1, 3), (28, 19))
    with RecordFile(path) as file:
        assert len(file.walk()) == 2
        assert file.image(0) == image + b"...."
        assert file.image(file.end(0)) == b"next"


def parts_by_a_loop(payload):
    parts, start = [], 0
    for at in range(0, len(payload) // 4 * 4, 4):
        if payload[at : at + 4] == MAGIC:
            parts.append(payload[start:at])
            start = at + 4
    return [*parts, payload[start:]]


PIECES = st.lists(st.sampled_from([MAGIC, MAGIC[:2], MAGIC[2:], b"\n", b"#", b"1234", b""]), max_size=12).map(b"".join)


@settings(max_examples=200, deadline=None, database=None)
@given(PIECES)
def test_parts_are_those_of_a_loop(payload):
    assert split(payload) == parts_by_a_loop(payload)


@settings(max_examples=60, deadline=None, database=None)
@given(st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**24 - 1) | st.tuples(st.just(1), st.just(2)),
                          PIECES | st.binary(max_size=50)), min_size=1, max_size=5, unique_by=lambda record: record[0]))
def test_what_was_written_is_read(tmp_path_factory, records):
    path = written(tmp_path_factory.mktemp("x"), *records)
    with RecordFile(path) as file:
        offsets = file.walk().tolist()
        assert [file.image(offset) for offset in offsets] == [image for _, _, image in records]
        for (key, labels, _), offset in zip(records, offsets, strict=True):
            flag, label, number, _ = HEADER.unpack_from(file.read(offset))
            assert (flag, number) == ((2, key) if isinstance(labels, tuple) else (0, key))
            assert label == (0 if flag else labels)
    index = (path.parent / "x.idx").read_text()
    assert index == "".join(f"{key}\t{offset}\n" for (key, *_), offset in zip(records, offsets, strict=True))


def changed(at, *new):
    return LITERAL[:at] + b"".join(new) + LITERAL[at + sum(map(len, new)):]


@pytest.mark.parametrize(("data", "message"), [
    (b"", "offset 0: a file of 0 bytes has no records"),
    (LITERAL[:7], "offset 0: a file of 7 bytes has no records"),
    (LITERAL[:40], "offset 36: no record begins here; expected the bytes 0a 23 d7 ce, found the end of the file"),
    (LITERAL[:-1], "offset 36: a record of 32 bytes goes beyond the end of the file (75 bytes). Is the file complete?"),
    (changed(36, b"\x0a\x23\xd7\x3e"), "offset 36: no record begins here; expected the bytes 0a 23 d7 ce, found 0a"),
    (changed(4, b"\xff\xff\xff\x1f"), "offset 0: a record of 536870911 bytes goes beyond the end of the file"),
    (changed(4, b"\x1b\0\0\x40"), "offset 0: a part of the kind 2, expected 0 or 1"),
    (changed(4, b"\x1b\0\0\x20"), "offset 36: a part of the kind 0, expected 2 or 3"),
    (changed(4, b"\x1b\0\0\xe0"), "offset 0: a part of the kind 7, expected 0 or 1")])
def test_damage_is_refused_with_file_and_offset(tmp_path, data, message):
    path = tmp_path / "x.rec"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}, {message}')}"), RecordFile(path) as file:
        file.walk()


@pytest.mark.parametrize("flag", [3, 0xFFFFFFFF])
def test_a_record_shorter_than_its_labels(tmp_path, flag):
    path = tmp_path / "x.rec"
    path.write_bytes(changed(44, struct.pack("<I", flag)))
    with RecordFile(path) as file, pytest.raises(ValueError, match="offset 36: a record of 32 bytes is too short"):
        file.image(36)
