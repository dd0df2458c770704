"""The script through `main` and as a real process, on a few small drawn-by-hand people."""

import errno
import json

import cv2
import keras
import numpy as np
import pytest

import validate_on_lfw
from tests import process, tiny
from tests.conftest import ROOT
from tf_facenet.data.pairs import read_pairs
from tf_facenet.evaluation.verification import evaluate
from tf_facenet.inference.embedder import Embedder
from tf_facenet.inference.model_file import save_model

PEOPLE, IMAGES, SIZE = 8, 3, (20, 16)


@pytest.fixture(scope="module")
def lfw(tmp_path_factory):
    """A folder of people, each a colour with noise, and a pairs.txt of 4 folds beside it."""
    folder = tmp_path_factory.mktemp("lfw") / "faces"
    rng = np.random.default_rng(5)
    for person in range(PEOPLE):
        colour = rng.uniform(60, 200, 3)
        (folder / f"P{person}").mkdir(parents=True)
        for image in range(1, IMAGES + 1):
            pixels = np.clip(colour + rng.normal(0, 45, (*SIZE, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"P{person}" / f"P{person}_{image:04d}.png"), pixels)
    lines = ["4\t6"]
    for a in range(0, PEOPLE, 2):
        lines += [f"P{p}\t{i}\t{j}" for p in (a, a + 1) for i, j in ((1, 2), (1, 3), (2, 3))]
        lines += [f"P{a}\t{i}\tP{a + 1}\t{j}" for i in (1, 2) for j in (1, 2, 3)]
    (folder.parent / "pairs.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    keras.utils.set_random_seed(3)
    folder = tmp_path_factory.mktemp("run")
    save_model(tiny.create(SIZE, 5), folder / "model.keras", {"standardization": "fixed"})
    return folder


def run(lfw, model, *options):
    pairs = str(lfw.parent / "pairs.txt")
    return validate_on_lfw.main(
        [str(lfw), str(model), "--lfw_pairs", pairs, "--lfw_nrof_folds", "4", *options])


def report(lfw, model, flip="none", **options):
    pairs = read_pairs(lfw.parent / "pairs.txt", lfw, 4)
    embeddings = Embedder.load(model).embed(pairs.images, flip)
    return evaluate(embeddings, pairs.same, folds=pairs.folds, **options)


def test_output_is_that_of_facenet(lfw, model_dir, capsys):
    assert run(lfw, model_dir, "--lfw_batch_size", "7") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        f"{lfw.parent / 'pairs.txt'}: 48 pairs as LFW's 'name i j' or 'name1 i name2 j', separated by tabs, after the "
        "first line '4\\t6'", f"Model directory: {model_dir}", "Runnning forward pass on LFW images"]
    few = "24 pairs of different people cannot show a false accept rate of 0.001; the smallest that they can is 0.0417"
    assert lines[-5] == few
    assert lines[-4:] == report(lfw, model_dir).lines()
    capsys.readouterr()
    assert run(lfw, model_dir / "model.keras", "--quiet") == 0
    again = capsys.readouterr().out.splitlines()
    assert again == [f"Model filename: {model_dir / 'model.keras'}", lines[2], *lines[-5:]]


@pytest.mark.parametrize(("arguments", "expected"), [
    (["--use_flipped_images"], {"flip": "concat"}),
    (["--flip", "sum", "--distance_metric", "1"], {"flip": "sum", "distance": "cosine"}),
    (["--flip", "none", "--use_flipped_images"], {}),
    (["--distance_metric", "1", "--subtract_mean"], {"distance": "cosine", "subtract_mean": True}),
])
def test_options_reach_the_protocol(lfw, model_dir, capsys, tmp_path, arguments, expected):
    run(lfw, model_dir, *arguments, "--json", str(tmp_path / "new" / "result.json"))
    lines, expected_report = capsys.readouterr().out.splitlines(), report(lfw, model_dir, **expected)
    assert lines[-4:] == expected_report.lines()
    result = json.loads((tmp_path / "new" / "result.json").read_text())
    assert result["flip"] == expected.get("flip", "none")
    assert result["model"] == str(model_dir)
    assert result["missing"] == []
    assert result["num_pairs"] == 48
    assert result["threshold"] == pytest.approx(expected_report.threshold)


@pytest.mark.parametrize(("place", "left"), [("left", 0), ("0.5,1", 4), ("center", 2)])
def test_larger_images_are_cropped_where_one_says(lfw, tmp_path, capsys, place, left):
    save_model(tiny.create((20, 12), 5), tmp_path / "m.keras", {})
    run(lfw, tmp_path / "m.keras", "--crop", place)
    lines = capsys.readouterr().out.splitlines()
    pairs = read_pairs(lfw.parent / "pairs.txt", lfw, 4)
    pixels = np.stack([cv2.imread(str(path))[:, left:left + 12, ::-1] for path in pairs.images])
    expected = evaluate(Embedder.load(tmp_path / "m.keras").embed(pixels), pairs.same, folds=pairs.folds)
    assert lines[-4:] == expected.lines()


def test_what_is_written_is_there_before_it_is_said(lfw, model_dir, tmp_path, monkeypatch):
    """A full disk under stdout, say, costs no file."""
    def full(*lines):
        if any(line.startswith("Accuracy") for line in lines):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(validate_on_lfw, "say", full)
    with pytest.raises(OSError, match="No space left"):
        run(lfw, model_dir, "--json", str(tmp_path / "r.json"), "--plot", str(tmp_path / "lfw"),
            "--report", str(tmp_path / "r.html"))
    assert {path.name for path in tmp_path.iterdir()} >= {"r.json", "r.html", "lfw_roc.png"}


def test_pictures(lfw, model_dir, tmp_path):
    run(lfw, model_dir, "--plot", str(tmp_path / "lfw"))
    for name in ("lfw_roc.png", "lfw_distances.png"):
        assert cv2.imread(str(tmp_path / name)).std() > 1


def test_missing_images_are_named(lfw, model_dir, capsys, tmp_path):
    pairs = tmp_path / "pairs.txt"
    text = (lfw.parent / "pairs.txt").read_text()
    text = text.replace("P3\t2\t3", "P3\t2\t9").replace("P6\t1\tP7\t1", "Nobody\t1\tP7\t1")
    pairs.write_text(text)
    validate_on_lfw.main([str(lfw), str(model_dir), "--lfw_pairs", str(pairs)])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "Skipped 2 of 48 image pairs, for these images are missing: P3/P3_0009 Nobody/Nobody_0001"


@pytest.mark.parametrize("size", ["20x16", "16"])
def test_image_size_is_checked(lfw, model_dir, size):
    if size == "20x16":
        assert run(lfw, model_dir, "--image_size", size) == 0
    else:
        with pytest.raises(ValueError, match="--image_size is 16; this model takes 20x16"):
            run(lfw, model_dir, "--image_size", size)


@pytest.mark.parametrize(("stored", "warns"), [("fixed", False), ("", False), ("per_image", True)])
def test_standardization_is_the_models(lfw, tmp_path, capsys, stored, warns):
    save_model(tiny.create(SIZE, 5), tmp_path / "m.keras", {"standardization": stored})
    run(lfw, tmp_path / "m.keras", "--use_fixed_image_standardization")
    text = "--use_fixed_image_standardization is ignored: the model standardises (per_image) itself"
    assert (text in capsys.readouterr().out) is warns


def test_drawn_faces(tmp_path, capsys):
    save_model(tiny.create(32, 5), tmp_path / "m.keras", {})
    validate_on_lfw.main(["drawn:people=8,images=3,size=32", str(tmp_path / "m.keras"),
                          "--lfw_nrof_folds", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4].startswith("Accuracy: ")
    assert "Runnning forward pass on DRAWN images" in lines
    assert lines[-5].endswith("; the faces are drawn")


def test_as_a_process(lfw, model_dir):
    script, pairs = ROOT / "validate_on_lfw.py", lfw.parent / "pairs.txt"
    done = process.python(script, lfw, model_dir, "--lfw_pairs", pairs, "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-4:] == report(lfw, model_dir).lines()
    for arguments, message in (
        ([lfw, lfw / "none", "--lfw_pairs", pairs], "No model at"),
        ([lfw], "the following arguments are required: model"),
    ):
        done = process.python(script, *arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        last = done.stderr.splitlines()[-1]  # after what TensorFlow says about the machine
        assert last.startswith(f"validate_on_lfw.py: error: {message}")


def test_help_answers_without_importing_tensorflow():
    code = ("import sys, validate_on_lfw\ntry: validate_on_lfw.main(['-h'])\n"
            "finally: print('tensorflow' in sys.modules, 'numpy' in sys.modules)")
    done = process.python("-c", code)
    assert done.stdout.startswith("usage: validate_on_lfw.py [options] lfw_dir model")
    assert done.stdout.endswith("False False\n")


def test_pairs_file_that_is_nowhere(lfw, model_dir):
    with pytest.raises(OSError, match="looked for 'no.txt', '.*faces/no.txt', '.*/no.txt'"):
        validate_on_lfw.main([str(lfw), str(model_dir), "--lfw_pairs", "no.txt"])


@pytest.mark.parametrize("where", ["given", "inside", "beside"])
def test_pairs_file_is_found(lfw, model_dir, tmp_path, monkeypatch, where, capsys):
    text = (lfw.parent / "pairs.txt").read_text()
    places = {"given": tmp_path, "inside": tmp_path / "lfw", "beside": tmp_path}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "lfw").symlink_to(lfw)
    monkeypatch.chdir(tmp_path if where == "given" else tmp_path / "elsewhere")
    file = places[where] / "pairs.txt"
    file.write_text(text)
    try:
        assert validate_on_lfw.main([str(tmp_path / "lfw"), str(model_dir)]) == 0
    finally:
        file.unlink()
    assert capsys.readouterr().out.splitlines()[-4].startswith("Accuracy: ")
