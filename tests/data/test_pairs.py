"""Reading of pairs files, and the folds they give."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from tf_facenet.data import pairs
from tf_facenet.data.pairs import load_pairs, read_pairs, two_of

# facenet's own test case: twelve pairs under a header that promises 6000, in two folds
TWELVE = ["0001 1 2", "0001 1 0002 1", "0002 1 0003 1", "0001 1 0003 1", "0002 1 2",
          "0001 2 0002 2", "0002 2 0003 2", "0001 2 0003 2", "0003 1 2", "0001 1 0002 2",
          "0002 1 0003 2", "0001 1 0003 2"]


@pytest.fixture
def people(tmp_path):
    """Folder of three people with two images each."""
    for name in ("0001", "0002", "0003"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        for number in (1, 2):
            (tmp_path / "faces" / name / f"{name}_{number:04d}.png").touch()
    return tmp_path / "faces"


def write(folder, *lines):
    path = folder.parent / "pairs.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def names(pairs):
    return [path.replace("\\", "/").rpartition("/")[2] for path in pairs.images]


def test_facenets_own_case(people):
    pairs = read_pairs(write(people, "10\t300", *TWELVE), people, num_folds=2)
    assert len(pairs) == 12
    assert np.flatnonzero(pairs.same).tolist() == [0, 4, 8]
    assert pairs.folds.tolist() == [0] * 6 + [1] * 6
    assert names(pairs)[:4] == ["0001_0001.png", "0001_0002.png", "0001_0001.png", "0002_0001.png"]
    assert pairs.images[0] == str(people / "0001" / "0001_0001.png")
    assert pairs.missing == []


def test_header_of_two_numbers_gives_the_folds(people):
    path = write(people, "3 2", *TWELVE)
    assert read_pairs(path, people).folds.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert read_pairs(path, people, num_folds=2).folds.tolist() == [0] * 8 + [1] * 4


def test_header_of_one_number_deals_both_kinds_evenly(people):
    path = write(people, "4", *["0001 1 2"] * 4, *["0001 1 0002 1"] * 4)
    assert read_pairs(path, people, num_folds=2).folds.tolist() == [0, 0, 1, 1] * 2


@pytest.mark.parametrize(("header", "lines", "fault"), [
    ("10 300", TWELVE, "says 3,000 same and as many different pairs, but the file has 3 same and 9 different ones"),
    ("5", TWELVE[:2], "says 5 same and as many different pairs, but the file has 1 same and 1 different ones"),
    ("2 1", TWELVE[1::-1] + TWELVE[:2], None), ("1", TWELVE[:2], None), ("12", TWELVE, None),
    ("2 1", [TWELVE[0], TWELVE[4], *TWELVE[1:3]], "says 2 folds of 1 same pairs, but the pairs are in another order")])
def test_a_header_that_says_something_else_than_the_lines(people, caplog, header, lines, fault):
    path = write(people, header, *lines)
    read_pairs(path, people)
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == (
        [f"{path}: the first line {fault}"] if fault else [])


def test_the_layout_is_logged(people, caplog):
    caplog.set_level("INFO")
    path = write(people, "0001 1 2", "0001 1 0002 1")
    read_pairs(path, people)
    assert caplog.messages == [
        f"{path}: 2 pairs as LFW's 'name i j' or 'name1 i name2 j', separated by blanks, without a header"]


def test_column_names_are_no_pair(people):
    path = write(people, "\ufeffname number number", *TWELVE[:5])
    assert read_pairs(path, people, num_folds=2).folds.tolist() == [0, 0, 0, 1, 1]


def test_without_a_header_folds_have_both_kinds(people):
    """Such as Kaggle's CSV file of same pairs followed by that of different pairs."""
    path = write(people, *["0001,1,2"] * 5, *["0001,1,0002,1"] * 4)
    assert read_pairs(path, people, num_folds=2).folds.tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 1]


@pytest.mark.parametrize("first", ["0001 1 2", "0001\t1\t0001\t2"])
def test_a_first_line_that_is_a_pair_is_not_lost(people, first):
    pairs = read_pairs(write(people, f"\ufeff{first}", *TWELVE[1:4]), people, num_folds=2)
    assert names(pairs)[:2] == ["0001_0001.png", "0001_0002.png"]
    assert pairs.same.tolist() == [True, False, False, False]
    assert pairs.folds.tolist() == [0, 0, 1, 1]
    assert len(read_pairs(write(people, first), people)) == 1


def test_missing_images_keep_the_folds(people):
    (people / "0002" / "0002_0001.png").unlink()
    pairs = read_pairs(write(people, "2 3", *TWELVE, ""), people)
    assert pairs.missing == ["0002/0002_0001"]
    kept = [number for number, line in enumerate(TWELVE)
            if not line.startswith("0002 1") and not line.endswith("0002 1")]
    assert len(pairs) == len(kept) == 8
    assert pairs.folds.tolist() == [number // 6 for number in kept]
    assert pairs.same.tolist() == [len(TWELVE[number].split()) == 3 for number in kept]


def test_missing_people_are_named_once(people):
    path = write(people, "1", "0001 1 2", "0009 1 2", "0009 2 0001 1", "0001 1 0009 2")
    assert read_pairs(path, people).missing == ["0009/0009_0001", "0009/0009_0002"]


def test_suffixes_in_order(people):
    folder = people / "0001"
    for file in ("0001_0001.jpg", "0001_0003.webp", "0001_0003.JPEG", "0001_0003.txt"):
        (folder / file).touch()
    pairs = read_pairs(write(people, "1", "0001 1 3", "0001 2 2"), people)
    assert names(pairs) == ["0001_0001.jpg", "0001_0003.JPEG", "0001_0002.png", "0001_0002.png"]


def test_four_fields_with_one_name_are_a_same_pair(people):
    pairs = read_pairs(write(people, "1", "0001 1 0001 2", "0001 1 0002 1"), people)
    assert pairs.same.tolist() == [True, False]


@pytest.mark.parametrize("listed", ["0001/0001_0001.jpg", "0001\\0001_0001.png", " 0001/0001_0001",
                                    "0001/0001_0001.PNG"])
def test_images_are_found_as_users_write_them(people, listed):
    """With another suffix than the list says, as aligned faces have; with Windows' separator; with blanks around."""
    pairs = read_pairs(write(people, f"{listed}\t0002/0002_0001.png\t0"), people)
    assert pairs.images.tolist() == [str(people / "0001/0001_0001.png"), str(people / "0002/0002_0001.png")]


def test_a_backslash_in_a_name_comes_before_a_separator(people):
    (people / "0001" / "a\\b.png").touch()
    (people / "0001" / "a").mkdir()
    (people / "0001" / "a" / "b.png").touch()
    pairs = read_pairs(write(people, "0001/a\\b.png\t0001/a/b.png\t1"), people)
    assert pairs.images.tolist() == [str(people / "0001/a\\b.png"), str(people / "0001/a/b.png")]


def test_images_without_folders_as_calfw_has_them(people):
    for name in ("Ann_0001.jpg", "Ann_0002.jpg", "Bo_0001.jpg"):
        (people / name).touch()
    pairs = read_pairs(write(people, "Ann_0001.jpg 1", "Ann_0002.jpg 1", "Ann_0001.jpg 0", "Bo_0001.jpg 0"), people)
    assert pairs.images.tolist() == [str(people / f"{name}.jpg") for name in
                                     ("Ann_0001", "Ann_0002", "Ann_0001", "Bo_0001")]
    assert pairs.same.tolist() == [True, False]


@pytest.mark.parametrize(("kept", "kind", "other"), [(TWELVE[::4], "same", "different"),
                                                     (TWELVE[1:4], "different", "same")])
def test_pairs_of_one_kind_verify_nothing(people, kept, kind, other):
    path = write(people, *kept)
    assert len(read_pairs(path, people)) == 3
    with pytest.raises(ValueError, match=f"all 3 pairs of '.*faces' are {kind} pairs; .* Add {other} pairs"):
        load_pairs(people, path)


@pytest.mark.parametrize("line", ["0001 1", "0001 1 x", "0001 1 0002 1 5", "0001 -1 2", "a/1.jpg b/1.jpg 1",
                                  "a/1.jpg\tb/1.jpg\t2"])
def test_malformed_line(people, line):
    path = write(people, "10 300", "0001 1 2", "", f"  {line}")
    message = (f"pairs file '{path}', line 4: expected LFW's 'name i j' or 'name1 i name2 j', separated by blanks, "
               f"as in line 2, got {line!r}")
    with pytest.raises(ValueError, match=re.escape(message)):
        read_pairs(path, people)


def test_a_file_that_is_not_text_is_malformed(people):
    path = people.parent / "pairs.bin"
    path.write_bytes(b"\x80\x04\n\xff\xfe\x00rest\n")
    with pytest.raises(ValueError, match="line 1: expected two images"):
        read_pairs(path, people)


def test_no_pair_left(people):
    path = write(people, "10 300", "0008 1 2", "0008 1 0001 1")
    with pytest.raises(ValueError, match=r"none of the 2 pairs of .* both images .*0008/0008_0001"):
        read_pairs(path, people)


@pytest.mark.parametrize("lines", [[], ["10 300"]])
def test_empty_file(people, lines):
    with pytest.raises(ValueError, match="lists no pair after its first line"):
        read_pairs(write(people, *lines), people)


def test_a_set_whose_results_could_not_be_written(monkeypatch):
    monkeypatch.setattr(pairs, "load_pairs", lambda *_: SimpleNamespace(name="a,b"))
    with pytest.raises(ValueError, match="set 'a,b' has a comma in its name, .* Rename its file"):
        pairs.load_sets("a,b.bin", "", "", "", 10)


def test_missing_file_and_folder(people):
    with pytest.raises(OSError, match="pairs file .*none.txt' cannot be read .* Pass a file"):
        read_pairs(people / "none.txt", people)
    path = write(people, "10 300", *TWELVE)
    with pytest.raises(OSError, match="no folder .*nobody'.* Pass the folder of aligned"):
        read_pairs(path, people / "nobody")


def test_too_few_folds(people):
    with pytest.raises(ValueError, match="num_folds must be at least 2, got 1"):
        read_pairs(write(people, "10 300", *TWELVE), people, num_folds=1)


def test_load_pairs_reads_files(people):
    path = write(people, "10 300", *TWELVE)
    assert names(load_pairs(people, path, 2)) == names(read_pairs(path, people, 2))


def test_load_pairs_draws():
    pairs = load_pairs("drawn:people=8,images=4,size=48,seed=1", "", 2)
    assert len(pairs.images) == 2 * len(pairs) > 0
    assert set(pairs.folds.tolist()) == {0, 1}
    assert 0 < pairs.same.sum() < len(pairs)
    assert all(isinstance(image, bytes) for image in pairs.images)


def test_lfw_view_2(shared):
    data = shared / "data"
    pairs = read_pairs(data / "lfw_protocol" / "pairs.txt", data / "lfw_112")
    assert pairs.missing == []
    assert pairs.folds.tolist() == np.repeat(np.arange(10), 600).tolist()
    recorded = np.load(shared / "reference" / "lfw_casia_eval.npz")
    files = recorded["files"][recorded["pairs"].ravel()].tolist()
    assert names(pairs) == [file.rpartition("/")[2] for file in files]
    assert np.array_equal(pairs.same, recorded["same"])


def test_lfw_view_1_and_funneled(shared):
    data = shared / "data"
    pairs = read_pairs(data / "lfw_protocol" / "pairsDevTest.txt", data / "lfw_112")
    for kind in (pairs.same, ~pairs.same):
        assert np.bincount(pairs.folds[kind]).tolist() == [50] * 10
    pairs = read_pairs(data / "lfw_protocol" / "pairs_300.txt", data / "lfw_funneled_300")
    assert pairs.missing == []
    assert np.bincount(pairs.folds[pairs.same]).tolist() == [30] * 5


def test_load_pairs_looks_in_three_places(tmp_path, monkeypatch):
    faces = tmp_path / "faces"
    for name in ("a", "b"):
        (faces / name).mkdir(parents=True)
        for number in (1, 2):
            (faces / name / f"{name}_{number:04d}.jpg").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=r"looked for 'pairs.txt', 'faces/pairs.txt', '.*/pairs.txt'"):
        load_pairs("faces", "pairs.txt", 2)
    text = "2 1\na 1 2\na 1 b 1\nb 1 2\na 2 b 2\n"
    for place in (tmp_path / "pairs.txt", faces / "pairs.txt"):
        place.write_text(text)
        monkeypatch.chdir("/")
        assert len(load_pairs(str(faces), "pairs.txt", 2)) == 4
        place.unlink()
    (tmp_path / "mine.txt").write_text(text)
    assert len(load_pairs(str(faces), str(tmp_path / "mine.txt"), 2)) == 4


def test_two_of_counts_all_pairs():
    expected = [(low, high) for high in range(60) for low in range(high)]
    assert two_of(np.arange(len(expected))).tolist() == [list(pair) for pair in expected]


def test_names_that_are_composed_otherwise(tmp_path):
    """A list from Linux has "é" as one character, a folder from macOS as two."""
    composed, decomposed = "Ren\u00e9e", "Rene\u0301e"
    (tmp_path / decomposed).mkdir()
    for number in (1, 2):
        (tmp_path / decomposed / f"{decomposed}_000{number}.png").touch()
    (tmp_path / "pairs.txt").write_text(f"{composed} 1 2\n", encoding="utf-8")
    assert read_pairs(tmp_path / "pairs.txt", tmp_path).images.tolist() == [
        str(tmp_path / decomposed / f"{decomposed}_000{number}.png") for number in (1, 2)]
