import logging
import os
import sys
import types

import pytest

from tests.pictures import encode, picture, write
from tests.process import python
from tf_facenet import data
from tf_facenet.data.folders import image_files, read_folder

PNG, JPEG = encode(picture()), encode(picture(), "JPEG")


def relative(faces, root):
    """[(name, path below the root)]"""
    return [(faces.names[label], os.path.relpath(sample, root).replace(os.sep, "/"))
            for sample, label in zip(faces.samples, faces.labels, strict=True)]


def test_sorted_people_and_images_however_deep(tmp_path):
    write(tmp_path, {"bob/2.jpg": JPEG, "bob/1.png": PNG, "Ann/x/y/1.jpg": JPEG,
                     "Ann/x/2.jpg": JPEG, "Ann/b.jpg": JPEG, "Ann/.x/3.jpg": JPEG,
                     "Ann/._b.jpg": JPEG, ".git/1.jpg": JPEG, "loose.jpg": JPEG})
    faces = read_folder(tmp_path)
    assert faces.names == ["Ann", "bob"]
    assert faces.labels.tolist() == [0, 0, 0, 1, 1]
    assert relative(faces, tmp_path) == [
        ("Ann", "Ann/b.jpg"), ("Ann", "Ann/x/2.jpg"), ("Ann", "Ann/x/y/1.jpg"),
        ("bob", "bob/1.png"), ("bob", "bob/2.jpg")]
    assert all(isinstance(sample, str) for sample in faces.samples)


def test_foreign_files_are_counted_and_left_out(tmp_path, caplog):
    write(tmp_path, {"a/1.jpg": JPEG, "a/notes.txt": b"hello", "a/list.csv": b"BMI,1",
                     "a/Thumbs.db": b"\xd0\xcf", "a/empty": b"", "a/no_suffix": JPEG,
                     "a/UPPER.JPG": JPEG, "a/photo.dat": PNG})
    with caplog.at_level(logging.INFO):
        faces = read_folder(tmp_path)
    assert [path for _, path in relative(faces, tmp_path)] == [
        "a/1.jpg", "a/UPPER.JPG", "a/no_suffix", "a/photo.dat"]
    assert caplog.messages == [f"{tmp_path}: not read: 1 file without an ending, 1 .csv file, 1 .db file, 1 .txt file"]
    assert caplog.records[0].levelname == "INFO"


def test_pictures_that_are_not_read_are_counted_by_their_endings(tmp_path, caplog):
    heic = b"\0\0\0\x18ftypheic"
    write(tmp_path, {f"{name}/{number}.HEIC": heic for name in "ab" for number in range(20)} | {
        "a/1.jpg": JPEG, "a/2.avif": heic, "b/in_truth_a_jpeg.heic": JPEG, **{f"b/{n}.txt": b"x" for n in range(50)}})
    faces = read_folder(tmp_path)
    assert [path for _, path in relative(faces, tmp_path)] == ["a/1.jpg", "b/in_truth_a_jpeg.heic"]
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", f"{tmp_path}: not read: 40 .heic files, 1 .avif file, 50 .txt files")]
    caplog.clear()
    assert len(image_files(tmp_path)) == 2
    assert "40 .heic files" in caplog.text
    (tmp_path / "a" / "1.jpg").unlink()
    with pytest.raises(ValueError, match=r"has no images \(20 .heic files, 1 .avif file\)\. Expected JPEG, PNG, BMP"):
        image_files(tmp_path / "a")


def test_at_most_five_endings_are_named(tmp_path, caplog):
    write(tmp_path, {f"a/{letter}.x{letter}": b"" for letter in "abcdefgh"} | {"a/1.jpg": JPEG})
    with caplog.at_level(logging.INFO):
        read_folder(tmp_path)
    assert caplog.messages[0].endswith("not read: 1 .xa file, 1 .xb file, 1 .xc file, 1 .xd file, 1 .xe file, 3 others")


def test_photographs_beside_the_folders_are_counted_in_one_warning(tmp_path, caplog):
    write(tmp_path, {"a/1.jpg": JPEG, "loose.jpg": JPEG, "later.png": PNG, "scan": JPEG, ".hidden.jpg": JPEG,
                     "pairs.txt": b"10 300"})
    assert len(read_folder(tmp_path)) == 1
    assert caplog.messages == [f"{tmp_path}: 3 photographs beside the folders of people are not read, such as "
                               "'later.png'; each belongs into a person's folder"]


def test_scans_and_old_databases_are_images(tmp_path):
    write(tmp_path, {"a/1.tif": encode(picture(), "TIFF"), "a/2.PGM": encode(picture(), "PPM", "L"),
                     "a/no_suffix": encode(picture(), "PPM")})
    assert len(read_folder(tmp_path)) == 3


def test_what_claims_to_be_an_image_is_kept_for_the_check(tmp_path):
    write(tmp_path, {"a/text.jpg": b"hello", "a/empty.png": b"", "a/scan.tif": b"II*\0"})
    os.symlink(tmp_path / "gone", tmp_path / "a" / "broken.jpg")
    assert len(read_folder(tmp_path)) == 4


def test_people_without_images_are_named(tmp_path, caplog):
    write(tmp_path, {"a/1.jpg": JPEG, "b/readme.txt": b"x", "d/1.jpg": JPEG})
    (tmp_path / "c").mkdir()
    faces = read_folder(tmp_path)
    assert faces.names == ["a", "d"]
    assert faces.labels.tolist() == [0, 1]
    assert "2 people have no images, such as 'b'" in caplog.text


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path):
    write(tmp_path, {"faces/a/1.jpg": JPEG, "faces/a/deep/2.jpg": JPEG, "faces/c/1.jpg": JPEG,
                     "elsewhere/b/3.jpg": JPEG, "elsewhere/more/4.jpg": JPEG})
    root = tmp_path / "faces"
    for target, link in (("elsewhere/b", "b"), ("elsewhere/more", "a/more"), ("faces/a", "a/loop"),
                         ("faces", "a/deep/root"), ("faces/a", "a/deep/loop")):
        os.symlink(tmp_path / target, root / link)
    assert relative(read_folder(root), root) == [
        ("a", "a/1.jpg"), ("a", "a/deep/2.jpg"), ("a", "a/more/4.jpg"), ("b", "b/3.jpg"),
        ("c", "c/1.jpg")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_not_opened(tmp_path):
    write(tmp_path, {"a/1.jpg": JPEG})
    os.mkfifo(tmp_path / "a" / "2.jpg")
    os.mkfifo(tmp_path / "a" / "3")
    assert len(read_folder(tmp_path)) == 1


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path, {"faces/a/1.jpg": JPEG})
    assert read_folder("~/faces").samples.tolist() == [str(tmp_path / "faces" / "a" / "1.jpg")]


def test_what_is_no_folder_of_people(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder '.*gone'\. Expected a folder with one .* person\.$"):
        read_folder(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"no folder '.*gone'\. Expected a folder with one .*, or 'drawn' for"):
        data.load(tmp_path / "gone")
    write(tmp_path, {"file.jpg": JPEG, "flat/1.jpg": JPEG, "bare/a/x.txt": b"x"})
    with pytest.raises(NotADirectoryError, match="file.jpg' is a file. Expected a folder with one"):
        read_folder(tmp_path / "file.jpg")
    with pytest.raises(ValueError, match="flat' has no sub-folders. Expected one sub-folder for"):
        read_folder(tmp_path / "flat")
    with pytest.raises(ValueError, match=r"bare' has 1 sub-folders but no image in any \(1 .txt file"):
        read_folder(tmp_path / "bare")


def test_load_reads_a_folder(tmp_path):
    write(tmp_path, {"a/1.jpg": JPEG})
    for path in (tmp_path, str(tmp_path)):
        assert data.load(path).names == ["a"]


def test_load_joins_a_list(tmp_path):
    write(tmp_path, {"one/a/1.jpg": JPEG, "two/a/2.jpg": JPEG, "two/b/3.jpg": JPEG})
    faces = data.load([tmp_path / "one", str(tmp_path / "two")])
    assert faces.names == ["a", "a (2)", "b"]
    assert [os.path.basename(sample) for sample in faces.samples] == ["1.jpg", "2.jpg", "3.jpg"]
    assert faces.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("description", ["drawn", "drawn:people=3,seed=1"])
def test_load_draws(description, monkeypatch):
    drawn = types.ModuleType("drawn")
    drawn.parse = lambda text: {"description": text}
    drawn.draw = lambda description: ("drawn as", description)
    monkeypatch.setitem(sys.modules, "tf_facenet.data.drawn", drawn)
    monkeypatch.setattr(data, "drawn", drawn, raising=False)
    assert data.load(description) == ("drawn as", description)


def test_listing_needs_no_tensorflow():
    done = python("-c", "import sys, tf_facenet.data; print(sorted(sys.modules))")
    assert done.returncode == 0, done.stderr
    assert "'tf_facenet.data.folders'" in done.stdout
    assert "'tensorflow'" not in done.stdout
    assert "'keras'" not in done.stdout
