"""tf-facenet align, with the real detector and drawn photographs."""

import sys

import cv2
import numpy as np
import pytest

from tests.align.photographs import drawn_photographs
from tests.pictures import encode, write
from tf_facenet import cli
from tf_facenet.align import folder
from tf_facenet.align.recipe import noted_template

pytest.importorskip("mtcnn")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Folder of four photographs of two people, a file that is none, and one without a face."""
    first, second, third, two = (encode(image) for image in drawn_photographs())
    return write(tmp_path_factory.mktemp("photographs"), {
        "ann/1.png": first, "ann/2.png": second, "bob/1.png": third, "bob/two.png": two, "bob/cut.png": first[:99],
        "bob/wall.png": encode(np.full((90, 90, 3), 99, np.uint8))})


def align(*arguments):
    return cli.run_command(["align", *map(str, arguments)])


def sizes(target):
    return {path.relative_to(target).as_posix(): cv2.imread(str(path)).shape[:2] for path in target.rglob("*.png")}


def test_facenets_crops(photographs, tmp_path, capsys):
    assert align(photographs, tmp_path / "out", "--image_size", "60", "--margin", "20") == 0
    assert sizes(tmp_path / "out") == dict.fromkeys(("ann/1.png", "ann/2.png", "bob/1.png", "bob/two.png"), (60, 60))
    text = capsys.readouterr().out
    assert "Total number of images: 6, of which 0 were aligned before\n" in text
    assert "Number of successfully aligned images: 4\n" in text
    assert "Images without a face: 2 of 6, listed in" in text
    bad = (tmp_path / "out/bad_files.txt").read_text().splitlines()
    assert [line.split("\t")[1] for line in bad] == ["truncated or corrupt PNG", "no face found"]
    assert (tmp_path / "out/revision_info.txt").read_text().startswith("arguments: ")
    [boxes] = (tmp_path / "out").glob("bounding_boxes_?????.txt")
    assert sum(len(line.split()) == 5 for line in boxes.read_text().splitlines()) == 4
    assert align(photographs, tmp_path / "out", "--image_size", "60", "--margin", "20", "--quiet",
                 "--random_order") == 0
    assert "of which 4 were aligned before\nNumber of successfully aligned images: 0\n" in capsys.readouterr().out


def test_all_faces_on_a_template(photographs, tmp_path, capsys):
    assert align(photographs, tmp_path / "out", "--template", "112x96", "--detect_multiple_faces", "--quiet") == 0
    assert noted_template([tmp_path / "out"]) == "112x96"
    names = ("ann/1_0.png", "ann/2_0.png", "bob/1_0.png", "bob/two_0.png", "bob/two_1.png")
    assert sizes(tmp_path / "out") == dict.fromkeys(names, (112, 96))
    assert "Number of successfully aligned images: 5\n" in capsys.readouterr().out


def test_processes_of_their_own_do_the_same(photographs, tmp_path):
    write(tmp_path / "in", {"ann/1.png": (photographs / "ann/1.png").read_bytes()})
    for workers in (1, 2):
        assert align(tmp_path / "in", tmp_path / str(workers), "--workers", workers, "--quiet") == 0
    one, two = (cv2.imread(str(tmp_path / workers / "ann/1.png")).astype(int) for workers in ("1", "2"))
    assert np.abs(one - two).max() <= 1


@pytest.mark.parametrize(("arguments", "message"), [
    (["{tmp}/gone", "{tmp}/out"], "no folder"),
    (["{faces}", "{faces}/out"], "lies inside the input"),
    (["{faces}", "{tmp}/out", "--workers", "0"], "--workers is 0; expected at least 1"),
    (["{faces}", "{tmp}/out", "--margin", "-1"], "--margin is -1; expected pixels, 0 or more"),
    (["{faces}", "{tmp}/out", "--gpu_memory_fraction", "2"], "--gpu_memory_fraction is 2.0; expected 0.01 to 1"),
    (["{faces}", "{tmp}/out", "--template", "160x160"], "invalid choice: '160x160'"),
    (["{faces}"], "the following arguments are required: output_dir"),
])
def test_mistakes_are_one_line(photographs, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["align", *(text.format(tmp=tmp_path, faces=photographs) for text in arguments)])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_without_the_detector(photographs, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mtcnn.network", None)
    folder._process.cache_clear()
    with pytest.raises(SystemExit) as stopped:
        cli.main(["align", str(photographs), str(tmp_path / "out"), "--quiet", "--image_size", "61"])
    assert stopped.value.code == 2
    assert "error: finding faces needs the package 'mtcnn': pip install 'mtcnn>=1.0'" in capsys.readouterr().err


def test_the_folder_of_a_run_keeps_its_files(photographs, tmp_path, capsys):
    for name in ("options.json", "revision_info.txt", "bad_files.txt"):
        (tmp_path / name).write_text("the run's")
    with pytest.raises(SystemExit):
        cli.main(["align", str(photographs), str(tmp_path), "--quiet"])
    assert "is the folder of a training run, whose revision_info.txt and" in capsys.readouterr().err
    assert {path.read_text() for path in tmp_path.iterdir()} == {"the run's"}
