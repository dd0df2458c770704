"""tf-facenet check: the whole way, with a stand-in for the detector but once."""

import io
import json
import os
import sys

import pytest

from tests.pictures import encode, picture, write
from tf_facenet import cli
from tf_facenet.align import detect
from tf_facenet.data import packing

IMAGE = encode(picture())


@pytest.fixture
def blind(monkeypatch):
    """A detector that sees no face."""
    class Blind:
        def __call__(self, images):
            return [detect.Detections(*(image[:0, 0] for _ in range(3))) for image in images]

    monkeypatch.setattr(detect, "Detector", Blind)


def test_lines_page_and_json(tmp_path, capsys, blind):
    root = write(tmp_path / "faces", {"a/1.png": IMAGE, "b/1.png": IMAGE, "b/2.jpg": b"", "b/line\nbreak.jpg": b""})
    (root / os.fsdecode(b"caf\xe9")).mkdir()
    (root / os.fsdecode(b"caf\xe9") / "1.png").write_bytes(encode(picture(seed=1)))
    os.symlink(root, root / "a" / "loop")
    page, result = tmp_path / "out" / "page.html", tmp_path / "out" / "result.json"
    arguments = ["check", root, "-o", page, "--json", result, "--sample", "2", "--quiet"]
    assert cli.run_command(list(map(str, arguments))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  people         3"
    assert f"! unreadable     2, such as {root}/b/2.jpg (empty file)" in lines
    assert "! alignment      no face found in 2 of 2 images" in lines
    assert lines[-1] == f"Report: {page}"
    assert "wrong labels?" in page.read_text(encoding="utf-8")
    saved = json.loads(result.read_text())
    assert saved["people"] == 3
    assert saved["unreadable"][1] == [f"{root}/b/line\nbreak.jpg", "empty file"]
    assert saved["alignment"]["looked_at"] == 2


def test_a_record_file(tmp_path, capsys):
    write(tmp_path / "faces", {"a/1.png": IMAGE, "a/2.png": b"x", "b/1.png": IMAGE})
    packing.pack(str(tmp_path / "faces"), str(tmp_path), quiet=True)
    arguments = ["check", tmp_path / "train.rec", "--sample", "0", "--quiet", "-o", tmp_path / "page.html"]
    cli.run_command(list(map(str, arguments)))
    text = capsys.readouterr().out
    assert f"wrong labels?  1 copies of an image of another person, such as {tmp_path}/train.rec@" in text
    assert "b: train.rec@" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_without_the_detectors_package(tmp_path, capsys, monkeypatch):
    def missing():
        raise OSError("finding faces needs the package 'mtcnn': pip install 'mtcnn>=1.0'")

    monkeypatch.setattr(detect, "Detector", missing)
    cli.run_command(["check", str(write(tmp_path, {"a/1.png": IMAGE})), "--quiet"])
    assert capsys.readouterr().out.splitlines()[-1] == (
        "  alignment   not looked at: finding faces needs the package 'mtcnn': pip install 'mtcnn>=1.0'")


def test_names_that_are_no_text_are_printed(tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    (folder / os.fsdecode(b"x\xff")).mkdir(parents=True)
    (folder / os.fsdecode(b"x\xff") / "1.png").write_bytes(IMAGE)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "utf-8", write_through=True))
    cli.run_command(["check", str(folder), "--sample", "0", "--quiet", "-o", str(folder / "page.html")])
    assert written.getvalue().endswith(b"caf\\udce9/page.html\n")


@pytest.mark.parametrize(("arguments", "message"), [
    (["nowhere"], "no folder 'nowhere'"), (["drawn", "--sample", "-1"], "--sample is -1; expected at least 0"),
    (["drawn:persons=3"], "persons"), ([], "the following arguments are required: data")])
def test_mistakes_are_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["check", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
