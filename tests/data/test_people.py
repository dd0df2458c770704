"""Files that name people, in every form that users have."""

import numpy as np
import pytest

from tf_facenet.data import people
from tf_facenet.data.faces import Faces


@pytest.mark.parametrize(("text", "expected"), [
    ("Al_Gore\nBo", ["Al_Gore", "Bo"]),
    ("2\nAl_Gore\t5\nBo\t1\n", ["Al_Gore", "Bo"]),  # LFW's people file
    ("10\n601\nAl_Gore\t5\n\nBo\t1\n", ["Al_Gore", "Bo"]),  # people.txt
    ("1 1\nAl_Gore 1 2\nBo  1 7 1", ["Al_Gore", "Bo", "7"]),  # pairs.txt
    ("1\t1\nA b\t1\t2\nA b\t2\tBo\t12", ["A b", "Bo"]),
    ("1\t1\nA b/x 1.jpg\tA b/2.jpg\t1\nA b/x 1.jpg\tBo/sub/1.jpg\t0\n", ["A b", "Bo"]),
    ("A b\nLouis 14", ["A b", "Louis 14"]),  # a whole name is not taken apart
    ("A b 12", ["A b"]), ("Bo\t3\nLouis 14\t2\tA b\t9", ["Bo", "Louis 14", "A b"]), ("Bo\tsome\tcolumns", ["Bo"]),
    ("2\n7\n8\n", ["7", "8"]), ("7\n12\n", ["7", "12"]),  # numbers as names, with and without a header
    (" Bo \n\tA b\t5 \n", ["Bo", "A b"]), (" 7\t1\t2\n", ["7"]), ("  7 1 2\n", ["7"]),  # spaces around
    ("\ufeffBo\r\n", ["Bo"]), ("", []), ("A\nb\nLouis", [])])
def test_forms(tmp_path, text, expected):
    path = tmp_path / "list.txt"
    path.write_text(text, encoding="utf-8", newline="")
    names = ["Al_Gore", "A b", "Bo", "Louis 14", "7", "8", "12"]
    chosen = people.listed(path, names)
    assert {name for name, is_listed in zip(names, chosen, strict=True) if is_listed} == set(expected)


def test_a_composed_and_a_decomposed_letter_are_one(tmp_path):
    """APFS and HFS+ give back the names that Finder made decomposed (NFD); lists are typed composed (NFC)."""
    composed, decomposed = "Ren\u00e9e", "Rene\u0301e"
    for written, folder in ((composed, decomposed), (decomposed, composed)):
        (tmp_path / "list.txt").write_text(f"{written}\t3\n", encoding="utf-8")
        assert people.listed(tmp_path / "list.txt", [folder, "Renee"]).tolist() == [True, False]


def test_names_in_another_encoding(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"caf\xe9\t3\n")
    assert people.listed(tmp_path / "list.txt", ["caf\udce9", "caf"]).tolist() == [True, False]


def test_spaces_around_a_name_count_if_somebody_is_called_so(tmp_path):
    (tmp_path / "list.txt").write_text(" P1\t5\nP2 \n P3\t1\t P1\t2\n P4\r\n\tP5\t1\t2\n")
    names = [" P1", "P1", "P2 ", "P2", "P3", "P4", "P5"]
    assert people.listed(tmp_path / "list.txt", names).tolist() == [True, False, True, False, True, True, True]


def test_names_that_nobody_has(tmp_path):
    (tmp_path / "list.txt").write_text("Al_Gore\n Zed\nCy\t1\t2\nBo\t1\tCy\t1\nZed\n")
    chosen, unknown = people.found(tmp_path / "list.txt", ["Bo", "Al_Gore", "Di"])
    assert (chosen.tolist(), unknown) == ([True, True, False], ["Zed", "Cy"])


@pytest.mark.parametrize(("one", "other", "alike"), [
    ("Al_Gore", "al  gore", True), ("José-María", "Jose_Maria", True), ("Straße", "STRASSE", True),
    ("Al_Gore", "AlGore", False), ("か", "が", False), ("कि", "कु", False), ("caf\udce9", "caf", False),
    ("--", "__", False)])
def test_plain_names(one, other, alike):
    assert (people.plain(one) == people.plain(other)) is alike


def test_round_trip(tmp_path):
    names = ["7", "Al_Gore", "a b", "caf\udce9", "x\u2028y", " P1 "]
    faces = Faces(np.array(list("abcdefg"), object), np.array([0, 1, 1, 2, 3, 4, 5]), names)
    people.write_people(tmp_path / "people.txt", faces)
    assert (tmp_path / "people.txt").read_bytes().startswith(b"6\n7\t1\nAl_Gore\t2\na b\t1\ncaf\xe9\t1\n")
    assert people.listed(tmp_path / "people.txt", [*names, "6", "a", "P1"]).tolist() == [True] * 6 + [False] * 3


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\rb"])
def test_a_name_that_no_line_holds(tmp_path, name):
    faces = Faces(np.array(["1.jpg"], object), np.array([0]), [name])
    with pytest.raises(ValueError, match=r"has a tab or a line break.*Rename"):
        people.write_people(tmp_path / "people.txt", faces)
    assert not list(tmp_path.iterdir())
