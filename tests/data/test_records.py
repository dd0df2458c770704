"""Record files as sets of faces: layouts, labels, names, the index, and what is refused."""

import ntpath
import os
import re
import struct

import numpy as np
import pytest

from tf_facenet import data
from tf_facenet.data import records
from tf_facenet.data.recordio import HEADER, RecordWriter
from tf_facenet.data.samples import read


def write(folder, *entries):
    """train.rec and train.idx of (key, labels, image[, id2])."""
    folder.mkdir(exist_ok=True)
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for entry in entries:
            writer.write(*entry)
    return folder


def contents(faces):
    return [read(sample).decode() for sample in faces.samples]


PLAIN = [(0, 1, b"a"), (1, 0, b"b"), (2, 1, b"c")]
INSIGHTFACE = [(1, 0, b"a"), (2, (0, 7), b"b"), (3, 1, b"c"), (4, (1, 3)), (5, (3, 4)), (0, (4, 6), b"", 1)]
HUGE = 1 << 24  # where keys cannot be told apart as float32


@pytest.mark.parametrize(("entries", "images", "labels"), [
    (PLAIN, "abc", [1, 0, 1]),
    (PLAIN[::-1], "abc", [1, 0, 1]),  # by key, whatever the order in the file
    (INSIGHTFACE, "abc", [0, 0, 1]),
    ([(HUGE + 1, 0, b"a"), (HUGE + 2, 1, b"b"), (HUGE + 3, 1, b"c"), (HUGE + 4, (HUGE + 1, HUGE + 2)),
      (HUGE + 5, (HUGE + 2, HUGE + 4)), (0, (HUGE + 4, HUGE + 6), b"", 1)], "abc", [0, 1, 1])],
    ids=["im2rec", "out of order", "insightface", "beyond 2^24"])
@pytest.mark.parametrize("indexed", [True, False])
def test_layouts(tmp_path, entries, images, labels, indexed):
    write(tmp_path, *entries)
    if not indexed:
        (tmp_path / "train.idx").unlink()
    for path in (tmp_path, tmp_path / "train.rec"):
        faces = data.load(path)
        assert contents(faces) == list(images)
        assert faces.labels.tolist() == labels
        assert faces.names == ["0", "1"]
    assert sorted(os.listdir(tmp_path)) == (["train.idx"] if indexed else []) + ["train.rec"]  # nothing is written


def test_without_index_and_with_equal_ids_the_order_is_the_files(tmp_path):
    write(tmp_path, (5, 0, b"a"), (5, 1, b"b"), (3, 0, b"c"))
    (tmp_path / "train.idx").unlink()
    assert contents(data.load(tmp_path)) == ["a", "b", "c"]


def test_sparse_labels_are_numbered_anew_and_keep_their_names(tmp_path):
    write(tmp_path, (1, 7, b"a"), (2, 3, b"b"), (3, HUGE - 1, b"c"))
    faces = data.load(tmp_path)
    assert faces.labels.tolist() == [1, 0, 2]
    assert faces.names == ["3", "7", str(HUGE - 1)]


def test_names_of_people(tmp_path):
    write(tmp_path, (1, 2, b"a"), (2, 0, b"b"))
    (tmp_path / "names.txt").write_bytes(b"a\\nb\r\nunused\ncaf\xe9 \\\\n\n")
    assert data.load(tmp_path).names == ["a\nb", "caf\udce9 \\n"]
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfcaf\xe9\nb\nc\nd\n")  # as editors of Windows save it
    assert data.load(tmp_path).names[0] == "caf\udce9"
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    with pytest.raises(ValueError, match=r"names\.txt has 2 lines, but .*\.rec has the label 2; expected one line"):
        data.load(tmp_path)


@pytest.mark.parametrize(("listed", "names"), [  # beside three images of the labels 0, 2, 2
    ("1\t0.000000\tann/deep/er/1.png\n2\t2\tbo/1.png\n3\t2\tbo/x/2.png\n", ["ann", "bo"]),  # the first folder
    ("0\t0\ttrain/ann/1.png\r\n1\t2\ttrain/bo/1.png\r\n2\t2\ttrain/bo/2.png\r\n", ["ann", "bo"]),  # or the last
    ("1\t0\t9\ta\\nb\\t/1.png\n2\t2\t9\tbo/1.png\n3\t2\t9\tbo/2.png\n", ["a\nb\t", "bo"]),  # several labels
    ("1\t0\tann\\1.png\n2\t2\tbo\\1.png\n3\t2\tbo\\2.png\n", ["ann", "bo"]),  # written on Windows
    # insightface's published form; of two people whose images were bad there are more lines than images
    ("1\t/data/x/ann/1.png\t0\n1\t/data/x/cy/1.png\t1\n" + "1\t/data/x/bo/1.png\t2\n" * 3, ["ann", "bo"]),
    ("1\tC:\\x\\ann\\1.png\t0\t3\t4\n1\tC:\\x\\bo\\1.png\t2\t3\t4\n1\tC:\\x\\bo\\1.png\t2\t3\t4\n", ["ann", "bo"]),
    # what does not fit: a person in two folders, a folder of two people, too few lines, a label less, other texts
    ("1\t0\tann/1.png\n2\t2\tbo/1.png\n3\t2\tcy/2.png\n", None),
    ("1\t0\tbo/1.png\n2\t2\tbo/1.png\n3\t2\tbo/2.png\n", None),
    ("1\t0\tann/1.png\n2\t2\tbo/1.png\n", None), ("1\t0\tann/1.png\n2\t1\tbo/1.png\n3\t1\tbo/2.png\n", None),
    ("1\t0\t../1.png\n2\t2\tbo/1.png\n3\t2\tbo/2.png\n", None), ("1\t0\t1.png\n2\t2\t2.png\n3\t2\t3.png\n", None),
    ("1\tx\tann/1.png\n", None), ("1\tinf\tann/1.png\n", None), ("ann\n", None), ("\n", None), ("", None)])
def test_names_of_people_in_a_list(tmp_path, caplog, listed, names):
    write(tmp_path, (1, 0, b"a"), (2, 2, b"b"), (3, 2, b"c"))
    (tmp_path / "train.lst").write_text(listed, newline="")
    assert data.load(tmp_path).names == (names or ["0", "2"])
    said = f"train.rec: people are called by their labels, for {tmp_path}/train.lst does not fit: expected one folder"
    assert (said in caplog.text) == (names is None)
    (tmp_path / "names.txt").write_text("one\ntwo\nthree\n")
    assert data.load(tmp_path).names == ["one", "three"]  # names.txt says it, whatever the list says


def test_a_folder_means_its_only_record_file(tmp_path):
    folder = write(tmp_path / "set", *PLAIN)
    for suffix in ("rec", "idx"):
        (folder / f"train.{suffix}").rename(folder / f"ms1m.{suffix}")
    (folder / ".hidden").mkdir()
    assert data.load(folder).samples[0] == f"{folder}/ms1m.rec@0"
    (folder / "val.rec").touch()
    with pytest.raises(ValueError, match=r"set' has several record files: ms1m\.rec, val\.rec\. Name one of them"):
        data.load(folder)
    (folder / "ms1m.rec").rename(folder / "train.rec")
    assert records.record_file(folder) == f"{folder}/train.rec"
    (folder / "train.rec").unlink()
    (folder / "ann").mkdir()
    (folder / "ann" / "1.jpg").touch()
    assert data.load(folder).names == ["ann"]  # a folder of people, whatever lies beside them


def test_an_image_without_bytes_is_an_image_and_a_person_without_is_none(tmp_path):
    faces = data.load(write(tmp_path, *INSIGHTFACE, (9, 5, b"")))
    assert contents(faces) == ["a", "b", "c", ""]
    assert faces.names == ["0", "1", "5"]


@pytest.mark.parametrize("label", [float("nan"), float("inf"), -1, 0.5, 1e9, float(HUGE)])
@pytest.mark.parametrize("vector", [True, False])
def test_labels_that_are_none(tmp_path, label, vector):
    write(tmp_path, (1, 0, b"a"), (2, (label, 1) if vector else label, b"b"))
    message = re.escape(f"train.rec, offset 36: label {label:.9g}; expected an integer from 0 to 16,777,215")
    with pytest.raises(ValueError, match=message):
        data.load(tmp_path)


@pytest.mark.parametrize(("index", "message"), [
    ("", "found 0 lines"),
    ("1\n2\n", "found 2 lines of 1 numbers"),
    ("1\t0\t5\n", "found 1 lines of 3 numbers"),
    ("1\t0\nx\t36\n", "could not convert string 'x' to int64 at row 1"),
    ("1\t0\n2\n", "columns"),
    ("1\t0\n1\t36\n", "key 1 occurs twice"),
    ("1\t0\n2\t0\n", "offset 0 occurs twice"),
    ("1\t0\n2\t4000\n", r"key 2 points to offset 4000, where no record of .*train\.rec \(108 bytes\) can begin"),
    ("1\t-4\n", "key 1 points to offset -4"), ("1\t2\n", "key 1 points to offset 2"),
    ("1\t99999999999999999999\n", "99999999999999999999")])
def test_wrong_indices(tmp_path, index, message):
    write(tmp_path, *PLAIN)
    (tmp_path / "train.idx").write_text(index)
    with pytest.raises(ValueError, match=rf"train\.idx: .*{message}.*Remove the file to do without it"):
        data.load(tmp_path)


@pytest.mark.parametrize(("at", "new", "message"), [
    (36, b"abcd", "offset 36: no record begins here"),
    (40, struct.pack("<I", 200), "offset 36: a record of 200 bytes goes beyond the end of the file"),
    (40, struct.pack("<I", 40), "offset 36: the record ends at 84, beyond the next, which the index places at 72"),
    (40, struct.pack("<I", 1 << 29 | 25), "offset 72: a part of the kind 0, expected 2 or 3"),
    (40, struct.pack("<I", 23), "offset 36: a record of 23 bytes is too short for its header"),
    (44, struct.pack("<I", 9), "offset 36: a record of 25 bytes is too short for its header and labels")])
def test_damaged_records(tmp_path, at, new, message):
    path = write(tmp_path, *PLAIN) / "train.rec"
    content = bytearray(path.read_bytes())
    content[at : at + len(new)] = new
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"train\.rec, {message}"):
        data.load(tmp_path)


def test_records_in_parts_that_reach_into_each_other(tmp_path):
    """Parts that skip over the next record, which the index names too."""
    frames = struct.pack("<II", 0xCED7230A, 1 << 29) + struct.pack("<II", 0xCED7230A, 3 << 29 | 64)
    (tmp_path / "train.rec").write_bytes(frames * 6)
    (tmp_path / "train.idx").write_text("0\t0\n1\t16\n")
    with pytest.raises(ValueError, match="offset 0: the record ends at 80, beyond the next, which .* at 16"):
        data.load(tmp_path)


def test_a_vector_of_labels_in_parts(tmp_path):
    """The label is what the magic's bits are as a number, so that the header itself is split."""
    label = struct.unpack("<f", struct.pack("<I", 0xCED7230A))[0]
    write(tmp_path, (1, (3.0, label), b"image"))
    faces = data.load(tmp_path)
    assert (faces.names, contents(faces)) == (["3"], ["image"])


def test_records_without_images(tmp_path):
    write(tmp_path, (4, (1, 1)), (0, (4, 5), b"", 1))
    with pytest.raises(ValueError, match=r"train\.rec: none of the 2 records has an image"):
        data.load(tmp_path)


def test_the_property_is_compared(tmp_path, caplog):
    write(tmp_path, *PLAIN)
    (tmp_path / "property").write_text("2,112,112\n")
    data.load(tmp_path)
    assert not caplog.records
    (tmp_path / "property").write_text("85742,112,112")
    data.load(tmp_path)
    assert "property says 85742 classes, found 2" in caplog.text
    (tmp_path / "property").write_text("many")
    with pytest.raises(ValueError, match=r"property: expected classes,height,width such as .*, found 'many'"):
        data.load(tmp_path)


def test_files_that_are_not_there_or_lead_to_themselves(tmp_path):
    os.symlink("train.rec", tmp_path / "train.rec")
    for path in (tmp_path, tmp_path / "train.rec", tmp_path / "gone.rec"):
        with pytest.raises(OSError, match=r"(train|gone)\.rec"):
            data.load(path)
    (tmp_path / "train.rec").unlink()
    (tmp_path / "train.rec").touch()
    with pytest.raises(ValueError, match=r"train\.rec, offset 0: a file of 0 bytes has no records"):
        data.load(tmp_path)


def test_sets_of_all_kinds_are_joined(tmp_path):
    write(tmp_path / "a", *PLAIN)
    write(tmp_path / "b", *INSIGHTFACE)
    (tmp_path / "c" / "ann").mkdir(parents=True)
    (tmp_path / "c" / "ann" / "1.jpg").write_bytes(b"image")
    paths = [f"{tmp_path}/a", f"{tmp_path}/b/train.rec", f"{tmp_path}/c", "drawn:people=2,images=1,size=32", "drawn"]
    assert data.single_paths(":".join(paths)) == data.single_paths(paths) == paths
    faces = data.load(":".join(paths[:4]))
    assert faces.names == ["0", "1", "0 (2)", "1 (2)", "ann", "person_000000", "person_000001"]
    assert faces.labels.tolist() == [1, 0, 1, 2, 2, 3, 4, 5, 6]
    assert [read(sample)[:5] for sample in faces.samples][:7] == [b"a", b"b", b"c", b"a", b"b", b"c", b"image"]
    assert read(faces.samples[8])[:2] == b"\xff\xd8"


def test_paths_with_colons(tmp_path):
    (tmp_path / "x:y").mkdir()
    assert data.single_paths(f"{tmp_path}/x:y") == [f"{tmp_path}/x:y"]
    assert data.single_paths("drawn:peple=3:drawn") == ["drawn:peple=3", "drawn"]
    assert data.single_paths("drawn:nonsense") == ["drawn:nonsense"]
    assert data.single_paths("a:b") == ["a", "b"]
    assert data.single_paths("a:/b") == ["a", "/b"]  # but on Windows


@pytest.mark.parametrize(("path", "parts"), [
    ("C:\\faces", ["C:\\faces"]), ("C:/faces:d:/ms1m/train.rec", ["C:/faces", "d:/ms1m/train.rec"]),
    ("faces:C:\\faces:drawn:people=3:D:\\", ["faces", "C:\\faces", "drawn:people=3", "D:\\"]),
    ("\\\\?\\C:\\faces:\\\\server\\share", ["\\\\?\\C:\\faces", "\\\\server\\share"]),
    ("a:b:ab:\\c", ["a", "b", "ab", "\\c"])])
def test_drives_of_windows(monkeypatch, path, parts):
    monkeypatch.setattr(os, "path", ntpath)
    assert data.single_paths(path) == parts


def test_many_records_take_little_memory_each(tmp_path):
    count = 20_000
    write(tmp_path, *((key, key % 100, b"x") for key in range(count)))
    found = records.read_records(str(tmp_path / "train.rec"))
    faces = records.faces(found)
    held = faces.samples.file.nbytes + faces.samples.place.nbytes + faces.labels.nbytes
    assert held == 20 * count
    np.testing.assert_array_equal(found.offsets, np.arange(count) * (8 + HEADER.size + 4))
