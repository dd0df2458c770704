"""Folder → record file → folder, joining, the index, and what is found wrong."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import encode, picture, write
from tf_facenet import data
from tf_facenet.data import inspection, packing, records
from tf_facenet.data.recordio import MAGIC, RecordFile
from tf_facenet.data.samples import read

JPEG, PNG = encode(picture(8, 6), "JPEG"), encode(picture(8, 6))
FILES = {"ann/1.jpg": JPEG, "ann/deep/er/2.png": PNG, "bob/b\\x.webp": encode(picture(), "WEBP"), "bob/empty.jpg": b"",
         "bob/text.png": b"no image", "a\nb\t/1\n.gif": encode(picture(), "GIF"),
         "magic/1.jpg": JPEG + bytes(-len(JPEG) % 4) + MAGIC * 2, "caf\udce9/\udcff.bmp": encode(picture(), "BMP")}


def files(folder):
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_unpacked_is_what_was_packed_byte_for_byte(tmp_path):
    write(tmp_path / "in", FILES)
    packing.pack(tmp_path / "in", tmp_path / "rec", quiet=True)
    assert packing.unpack(tmp_path / "rec", tmp_path / "out", quiet=True) == len(FILES)
    assert files(tmp_path / "out") == FILES
    for folder in ("in", "rec"):
        assert data.load(tmp_path / folder).names == ["a\nb\t", "ann", "bob", "caf\udce9", "magic"]


def test_layout_is_insightfaces(tmp_path):
    write(tmp_path / "in", {"a/1.jpg": JPEG, "b/1.jpg": JPEG, "b/2.png": PNG})
    packing.pack(tmp_path / "in", tmp_path / "rec", quiet=True)
    assert sorted(os.listdir(tmp_path / "rec")) == ["names.txt", "property", "train.idx", "train.lst", "train.rec"]
    assert (tmp_path / "rec" / "property").read_text() == "2,8,6\n"
    assert (tmp_path / "rec" / "names.txt").read_text() == "a\nb\n"
    assert (tmp_path / "rec" / "train.lst").read_text().splitlines() == [
        "1\t0.000000\ta/1.jpg", "2\t1.000000\tb/1.jpg", "3\t1.000000\tb/2.png"]
    found = dict(np.loadtxt(tmp_path / "rec" / "train.idx", np.int64).tolist())
    assert list(found) == [1, 2, 3, 4, 5, 0]
    with RecordFile(tmp_path / "rec" / "train.rec") as file:
        assert file.read(found[2]) == struct.pack("<IfQQ", 0, 1, 2, 0) + JPEG
        assert file.read(found[4]) == struct.pack("<IfQQff", 2, 0, 4, 0, 1, 2)
        assert file.read(found[5]) == struct.pack("<IfQQff", 2, 0, 5, 0, 2, 4)
        assert file.read(found[0]) == struct.pack("<IfQQff", 2, 0, 0, 1, 4, 6)


def test_people_are_together_whatever_their_order_was(tmp_path):
    faces = data.load("drawn:people=3,images=2,size=32").select(np.array([4, 0, 2, 5, 1, 3]))
    packing.write(faces, tmp_path, quiet=True)
    loaded = data.load(tmp_path)
    assert loaded.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert [read(sample) for sample in loaded.samples] == [faces.samples[row] for row in (1, 4, 2, 5, 0, 3)]


def test_merging_keeps_people_apart_or_joins_those_of_equal_names(tmp_path):
    write(tmp_path / "one", {"ann/1.jpg": JPEG, "bob/1.jpg": JPEG})
    write(tmp_path / "two", {"bob/2.png": PNG, "eve/1.png": PNG})
    packing.pack(tmp_path / "one", tmp_path / "rec", quiet=True)
    sources = [tmp_path / "rec", tmp_path / "two"]
    assert packing.merge(sources, tmp_path / "apart", quiet=True).names == ["ann", "bob", "bob (2)", "eve"]
    packing.merge(sources, tmp_path / "joined", dedupe=True, quiet=True)
    faces = data.load(tmp_path / "joined")
    assert faces.names == ["ann", "bob", "eve"]
    assert [read(sample) for sample in faces.samples] == [JPEG, JPEG, PNG, PNG]
    assert faces.labels.tolist() == [0, 1, 1, 2]
    packing.unpack(tmp_path / "joined", tmp_path / "out", quiet=True)
    assert sorted(files(tmp_path / "out")) == ["ann/00000001.jpg", "bob/00000002.jpg", "bob/00000003.png",
                                               "eve/00000004.png"]
    write(tmp_path / "three", {"ann/1.gif": FILES["a\nb\t/1\n.gif"]})
    together = f"{tmp_path / 'two'}:{tmp_path / 'three'}"
    assert packing.merge([tmp_path / "rec", together], tmp_path / "all", dedupe=True,
                         quiet=True).names == ["ann", "bob", "eve"]
    for name in ("names.txt", "train.lst"):
        (tmp_path / "rec" / name).unlink()
    with pytest.raises(ValueError, match=r"--dedupe needs the names of people, and .*train\.rec has neither names\.txt "
                                         r"nor a list train\.lst"):
        packing.merge([f"{tmp_path / 'two'}:{tmp_path / 'rec' / 'train.rec'}"], tmp_path / "none", dedupe=True,
                      quiet=True)


@pytest.mark.parametrize("name", ["train.rec", "train.idx", "train.lst", "names.txt", "property"])
def test_no_file_of_another_set_is_replaced(tmp_path, name):
    write(tmp_path, {"in/a/1.jpg": JPEG, f"rec/{name}": b"somebody's"})
    with pytest.raises(FileExistsError, match=f"rec' has {name} already. Name a new folder"):
        packing.pack(tmp_path / "in", tmp_path / "rec", quiet=True)
    assert [item.name for item in (tmp_path / "rec").iterdir()] == [name]
    assert (tmp_path / "rec" / name).read_bytes() == b"somebody's"


@pytest.fixture
def packed(tmp_path):
    write(tmp_path / "in", {"a/1.jpg": JPEG, "b/1.jpg": JPEG, "b/2.png": PNG})
    packing.pack(tmp_path / "in", tmp_path / "rec", quiet=True)
    return tmp_path / "rec"


@pytest.mark.parametrize("line", ["1\t0\t../x", "1\t0\t/etc/x", "1\t0\t", "1", "x\t0\ta/1.jpg", "1\t0\ta/../../x", ""])
def test_lists_that_lead_out_of_the_folder(packed, line):
    (packed / "train.lst").write_text(f"2\t0\tgood\n{line}\n")
    with pytest.raises(ValueError, match=r"train\.lst, line 2: expected a key, a label and a path below a folder"):
        packing.unpack(packed, packed.parent / "out", quiet=True)
    assert not (packed.parent / "out").exists()


def test_scans_and_old_databases_come_back_with_their_endings(tmp_path):
    scan, old = encode(picture(), "TIFF"), encode(picture(), "PPM", "L")
    write(tmp_path / "in", {"a/1.tiff": scan, "a/2.pgm": old})
    packing.pack(tmp_path / "in", tmp_path / "rec", quiet=True)
    assert inspection.faults(str(tmp_path / "rec" / "train.rec"), quiet=True) == []
    (tmp_path / "rec" / "train.lst").unlink()
    packing.unpack(tmp_path / "rec", tmp_path / "out", quiet=True)
    assert files(tmp_path / "out") == {"a/00000001.tif": scan, "a/00000002.pgm": old}


def test_a_key_that_is_listed_twice(packed):
    (packed / "train.lst").write_text("1\t0\ta/1.jpg\n2\t1\tb/1.jpg\n1\t1\tb/2.png\n")
    with pytest.raises(ValueError, match=r"train\.lst, line 3: key 1 occurs twice\. Mend or remove it"):
        packing.unpack(packed, packed.parent / "out", quiet=True)
    assert not (packed.parent / "out").exists()


@pytest.mark.parametrize("line", ["1\t/data/imgs/0/1.jpg\t0", "0\timgs/0/1.jpg\t3", "1\tC:\\imgs\\1.jpg\t0",
                                  "1\t/data/1.jpg\t0\t10\t10\t90\t90"])
def test_the_list_of_a_published_set_gives_no_places(packed, caplog, line):
    (packed / "train.lst").write_text(f"{line}\n" * 3)
    assert packing.unpack(packed, packed.parent / "out", quiet=True) == 3
    assert sorted(files(packed.parent / "out")) == ["a/00000001.jpg", "b/00000002.jpg", "b/00000003.png"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{packed}/train.lst gives no places for images: it has the paths that they had where it was made, not "
        "their keys"]


def test_people_of_a_published_set_are_called_as_in_its_list(packed, tmp_path):
    """Also where they are joined with others by their names, and unpacked."""
    (packed / "names.txt").unlink()
    (packed / "train.lst").write_text("1\t/data/imgs/Ann/1.jpg\t0\n"
                                     "1\t/data/imgs/Bo/2.jpg\t1\n1\t/data/imgs/Bo/7.jpg\t1\n")
    assert data.load(packed).names == ["Ann", "Bo"]
    assert "names 'Ann' to 'Bo'" in inspection.describe(str(packed / "train.rec"))["people"]
    packing.unpack(packed, tmp_path / "out", quiet=True)
    assert sorted(files(tmp_path / "out")) == ["Ann/00000001.jpg", "Bo/00000002.jpg", "Bo/00000003.png"]
    write(tmp_path / "more", {"Bo/1.jpg": JPEG, "Cy/1.jpg": JPEG})
    merged = packing.merge([packed, tmp_path / "more"], tmp_path / "both", dedupe=True, quiet=True)
    assert (merged.names, merged.labels.tolist()) == (["Ann", "Bo", "Cy"], [0, 1, 1, 1, 2])


@pytest.mark.parametrize("line", ["1\t0.000000\t7", "1\t-1.5e-05\t2\tx.jpg"])
def test_numbers_are_not_taken_for_paths(packed, line):
    (packed / "train.lst").write_text(f"{line}\n")
    packing.unpack(packed, packed.parent / "out", quiet=True)
    assert line.rpartition("\t")[2] in files(packed.parent / "out")


@pytest.mark.parametrize("name", ["..", "/x", "a/b", ""])
def test_names_that_are_none_for_folders(packed, name):
    (packed / "train.lst").unlink()
    (packed / "names.txt").write_text(f"{name}\nb\n")
    with pytest.raises(ValueError, match=r"names\.txt: a person is called .*, which is no name for a folder"):
        packing.unpack(packed, packed.parent / "out", quiet=True)


def test_unpacking_replaces_nothing(packed):
    with pytest.raises(FileExistsError, match="in' is not empty: it holds a/1.jpg, b/1.jpg, b/2.png"):
        packing.unpack(packed, packed.parent / "in", quiet=True)
    with pytest.raises(FileNotFoundError, match=r"no record file .*in'\. Expected a file \*\.rec or the folder"):
        packing.unpack(packed.parent / "in", packed.parent / "out", quiet=True)


def test_index_is_written_if_it_is_missing(packed):
    index = (packed / "train.idx").read_text()
    with pytest.raises(ValueError, match=r"train\.idx exists and is good"):
        packing.write_index(packed)
    (packed / "train.idx").unlink()
    assert packing.write_index(packed) == (str(packed / "train.idx"), 6)
    assert sorted((packed / "train.idx").read_text().splitlines()) == sorted(index.splitlines())


def test_faults_of_the_structure(packed):
    path = str(packed / "train.rec")

    def faults():
        return [(os.path.basename(what).partition("@")[0], why) for what, why in
                inspection.structure(records.read_records(path))]

    assert faults() == []
    content = bytearray((packed / "train.rec").read_bytes())
    offsets = dict(np.loadtxt(packed / "train.idx", np.int64).tolist())
    for key, place in ((5, 36), (0, 32)):  # the end of a range, the beginning of one
        content[offsets[key] + place : offsets[key] + place + 4] = struct.pack("<f", 3 if key == 0 else 9)
    content[offsets[4] + 32 : offsets[4] + 40] = struct.pack("<ff", 1, 4)
    (packed / "train.rec").write_bytes(content)
    (packed / "property").write_text("3,8,6\n")
    lines = (packed / "train.idx").read_text().splitlines(keepends=True)
    (packed / "train.idx").write_text("".join(line for line in lines if not line.startswith("3\t")))
    assert faults() == [
        ("train.rec", "the index has no such record"),
        ("train.rec", "names the records 3 to 6, expected the people's records [4] to [5]"),
        ("train.rec", "names the records 1 to 4, expected images of one person"),
        ("property", f"{packed}/property says 3 classes, found 2")]


def test_faults_of_images(packed):
    write(packed.parent / "in", {"b/0.jpg": JPEG[:-60], "b/3.jpg": b"text",
                                 "c/bomb.png": PNG[:16] + struct.pack(">II", 100_000, 100_000) + PNG[24:]})
    packed = packed.with_name("bad")
    packing.pack(packed.parent / "in", packed, quiet=True)
    faults = inspection.faults(str(packed / "train.rec"), quiet=True)
    assert [why for _, why in faults] == [
        "truncated or corrupt JPEG", "not a JPEG, PNG, BMP, GIF, WebP, TIFF, PGM or PPM image (starts "
                                        "with b'text')",
        "image of 100000x100000 pixels, more than 100,000,000", "has no readable image"]
    assert all(what.startswith(f"{packed}/train.rec@") for what, _ in faults[:3])
