import csv
import errno
import os
import subprocess
import sys

import pytest

from tf_facenet import files, locks
from tf_facenet.files import atomic_folder, atomic_write, find


def test_find_takes_the_first_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inside, beside = tmp_path / "a" / "b", tmp_path / "a"
    inside.mkdir(parents=True)
    with pytest.raises(FileNotFoundError) as error:
        find("x.txt", inside, beside)
    assert str(error.value) == (f"No file 'x.txt': looked for 'x.txt', '{inside}/x.txt', "
                                f"'{beside}/x.txt'. Name an existing file.")
    for place in (beside / "x.txt", inside / "x.txt"):
        place.touch()
        assert find("x.txt", inside, beside) == place
    (tmp_path / "x.txt").touch()
    assert str(find("x.txt", inside, beside)) == "x.txt"
    with pytest.raises(FileNotFoundError, match=r"looked for '/none/y.txt'\. Name"):
        find("/none/y.txt", inside, beside)


def write(path, text, error=None):
    with atomic_write(path) as temporary:
        temporary.write_text(text)
        if error:
            raise error


def test_a_file_appears_whole_and_replaces_the_older_one(tmp_path):
    path = tmp_path / "new" / "folder" / "a.weights.h5"
    for text in ("one", "two"):
        with atomic_write(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.name.endswith("a.weights.h5")
            assert not temporary.exists()
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "one"
        assert path.read_text() == text
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(type(error)):
        write(path, "half", error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_shows_at_the_end(tmp_path, monkeypatch, call):
    path = tmp_path / "a"
    path.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_everything_is_forced_to_disk_before_it_is_renamed(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append(
        os.readlink(f"/proc/self/fd/{handle}")) or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda *names: calls.append("rename") or replace(*names))
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    write(tmp_path / "a", "new")
    (temporary, *rest) = calls
    assert temporary.startswith(str(tmp_path / ".tmp-"))
    assert rest == ["rename", str(tmp_path)]


@pytest.mark.parametrize(("number", "passes"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_file_systems_that_cannot_force_a_folder(tmp_path, monkeypatch, number, passes):
    fsync = os.fsync

    def on_files_only(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(number, "no")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", on_files_only)
    if passes:
        write(tmp_path / "a", "new")
    else:
        with pytest.raises(OSError, match="no"):
            write(tmp_path / "a", "new")


def write_folder(path, name, error=None):
    with atomic_folder(path, own=("deep/*",)) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / name).write_text(name)
        if error:
            raise error


def names(path):
    return sorted(str(item.relative_to(path)) for item in path.rglob("*"))


def test_a_folder_appears_whole_and_replaces_the_older_one(tmp_path):
    for name in ("one", "two"):
        write_folder(tmp_path / "export", name)
        assert names(tmp_path) == ["export", "export/deep", f"export/deep/{name}"]


@pytest.mark.parametrize("theirs", ["notes.txt", "deep/er/notes.txt", "empty/", ".hidden"])
def test_a_folder_with_something_else_is_not_replaced(tmp_path, theirs):
    """Neither before the work nor, if somebody puts it there in the meantime, after it."""
    path = tmp_path / "export"
    own = ("deep/one", "deep/two")
    with atomic_folder(path, own) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "one").touch()
    lost = pytest.raises(FileExistsError, match=f"holds {theirs.rstrip('/')}, which would be lost. Name a new folder")
    for in_time in (False, True):
        with lost, atomic_folder(path, own):
            assert not in_time
            (path / theirs).parent.mkdir(parents=True, exist_ok=True)
            (path / theirs).mkdir() if theirs.endswith("/") else (path / theirs).touch()
        assert (path / theirs).exists()
        assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_no_folder_to_replace(tmp_path):
    (tmp_path / "a").write_text("theirs")
    with pytest.raises(FileExistsError, match="a' is a file; expected a new or an empty folder"):
        write_folder(tmp_path / "a", "one")
    assert (tmp_path / "a").read_text() == "theirs"


def test_only_leftovers_of_this_package_are_removed(tmp_path):
    for name in (".tmp-0123456789ab-a.keras", ".tmp-notes", "deep/.tmp-ba9876543210-x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files.remove_leftovers(tmp_path)
    assert names(tmp_path) == [".tmp-notes", "deep", "deep/.tmp-ba9876543210-x"]


def test_a_failure_leaves_the_older_folder(tmp_path, monkeypatch):
    path = tmp_path / "export"
    write_folder(path, "old")
    before = names(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_folder(path, "new", KeyboardInterrupt())
    assert names(tmp_path) == before
    rename = os.rename

    def refuse_the_new_one(source, target):
        if (source / "deep" / "new").exists():
            raise OSError(errno.EIO, "refused")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse_the_new_one)
    with pytest.raises(OSError, match="refused"):
        write_folder(path, "new")
    assert names(tmp_path) == before


def test_a_link_stays_and_its_folder_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    write_folder(tmp_path / "link", "new")
    assert names(tmp_path) == ["disk", "disk/deep", "disk/deep/new", "link"]


@pytest.mark.parametrize("path", ["/", "."])
def test_what_cannot_be_replaced_is_refused_before_the_work(path):
    with pytest.raises(OSError, match=f"name a folder inside it: '{os.path.realpath(path)}'"):
        write_folder(path, "new")


@pytest.mark.parametrize("name", ["x" * 251 + ".png", "名" * 83 + ".png"])
def test_the_longest_names(tmp_path, name):
    write(tmp_path / name, "new")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_errors_name_the_file(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=r"Is a directory: '.*/folder'$"):
        write(tmp_path / "folder", "new")
    (tmp_path / "folder").rmdir()
    with pytest.raises(OSError, match="No space left on device: '.*report.txt'"), \
            files.atomic_write(tmp_path / "report.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("cell", "written"), [
    ("=HYPERLINK(1)", "'=HYPERLINK(1)"), ("+1+1", "'+1+1"), ("-a", "'-a"), ("@SUM(A1)", "'@SUM(A1)"),
    ("\t=1", "'\t=1"), ("\r=1", "'\r=1"), ("'=1", "''=1"), ("''-a", "'''-a"),  # so that all come back
    ("'quoted'", "'quoted'"), ("a=b", "a=b"), ("", ""),
    ("-1.5", "-1.5"), ("+2e-05", "+2e-05"), ("-.5", "-.5"), (-3, "-3"), (-0.5, "-0.5"),  # numbers stay numbers
])
def test_no_cell_of_a_csv_file_is_a_formula(cell, written, tmp_path):
    files.write_csv(tmp_path / "a.csv", [[cell, "x"]])
    with open(tmp_path / "a.csv", newline="") as file:
        (row,) = csv.reader(file)
    assert row == [written, "x"]
    assert files.csv_text(row[0]) == str(cell)


@pytest.mark.parametrize(("path", "kind", "message"), [
    ("folder", "file", "'folder' is a folder; expected a name for a file"),
    ("file", "folder", "'file' is a file; expected a name for a folder"),
    ("file/a/b.csv", "file", "'file/a/b.csv' cannot be written: '.*file' is a file. Name a place inside a folder"),
    ("file/a", "prefix", "'file/a' cannot be written"),
])
def test_places_where_nothing_can_be_written(path, kind, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=message):
        files.check_target(path, kind)
    for good, kind_of_it in (("file", "file"), ("new/a", "file"), ("folder", "folder"), ("folder", "prefix")):
        files.check_target(good, kind_of_it)


@pytest.mark.parametrize(("text", "message"), [
    ("", "holds no JSON"), (b"\xff", "holds no JSON"), ("[" * 100_000, "holds no JSON"), ("3", "holds a int; expe")])
def test_json_that_is_none(text, message):
    with pytest.raises(ValueError, match=f"'a.json' {message}"):
        files.parse_json(text, "a.json")


def test_a_lock_is_this_process_own_and_ends_with_it(tmp_path):
    code = "import sys, time, tf_facenet.locks as f; print(f.lock(sys.argv[1]), flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "lock"], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "True\n"
        assert not locks.lock(tmp_path / "lock")
        other.kill()
    assert locks.lock(tmp_path / "lock")
    assert locks.lock(tmp_path / "lock")


def test_file_systems_without_locks_let_everybody_in(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "lockf", unknown)
    assert locks.lock(tmp_path / "lock")
