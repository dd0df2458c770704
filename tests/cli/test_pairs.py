"""tf-facenet pairs and tf-facenet split: from a folder to what the scripts take."""

import os

import pytest

from tests.pictures import encode, picture, write
from tf_facenet import cli
from tf_facenet.data import packing, prepare
from tf_facenet.data.pairs import load_pairs
from tf_facenet.options import SoftmaxOptions

IMAGE = encode(picture(8, 8))


@pytest.fixture
def folder(tmp_path):
    files = {f"p {i}/p {i}_{j:04d}.png": IMAGE for i in range(12) for j in range(1, 5)}
    root = write(tmp_path / "faces", files | {"p 0/empty.jpg": b""})
    os.symlink(root, root / "p 1" / "loop")
    return root


def mistake(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(list(map(str, arguments)))
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    return error.splitlines()[-1]


def test_pairs(folder, tmp_path, capsys):
    out = tmp_path / "made" / "pairs.txt"
    assert cli.run_command(["pairs", str(folder), "-o", str(out), "--folds", "3", "--pairs", "20"]) == 0
    text = capsys.readouterr().out
    assert f"1 unreadable files, the first: {folder}/p 0/empty.jpg (empty file)" in text
    assert "Not all images are called <name>/<name>_0001.jpg" in text
    assert f"{out}: 3 folds of 20 same and 20 different pairs, with " in text
    assert f"validate_on_lfw.py {folder} RUN --lfw_pairs {out} --lfw_nrof_folds 3" in text
    pairs = load_pairs(folder, out)
    assert (len(pairs), pairs.same.sum(), pairs.missing) == (120, 60, [])
    assert not [image for image in pairs.images if image.endswith("empty.jpg")]


def test_split(folder, tmp_path, capsys):
    arguments = ["split", folder, "-o", tmp_path, "--validation", "0.34", "--folds", "2", "--pairs", "5", "--quiet"]
    assert cli.run_command(list(map(str, arguments))) == 0
    assert "people_train.txt: 8 people with 32 images" in capsys.readouterr().out
    training, held_out = (
        prepare.training_faces(SoftmaxOptions(data_dir=str(folder), quiet=True, people_file=str(tmp_path / file)))[0]
        for file in ("people_train.txt", "people_validation.txt"))
    assert (training.num_classes, held_out.num_classes) == (8, 4)
    assert not set(training.names) & set(held_out.names)
    pairs = load_pairs(folder, tmp_path / "pairs_validation.txt")
    assert len(pairs) == 20
    assert set(pairs.images) <= set(held_out.samples)


@pytest.mark.parametrize("command", ["pairs", "split"])
@pytest.mark.parametrize(("arguments", "message"), [
    (["--folds", "1"], "--folds is 1; expected at least 2"), (["--pairs", "0"], "--pairs is 0; expected at least 1"),
    (["--seed", "-1"], "--seed is -1; expected at least 0")])
def test_numbers_that_cannot_be(command, arguments, message, tmp_path, capsys):
    assert message in mistake([command, tmp_path, *arguments], capsys)


@pytest.mark.parametrize(("files", "message"), [
    (None, "no folder '{root}'. Expected a folder with one sub-folder"),
    ({}, "folder '{root}' has no sub-folders"),
    ({"a/1.png": b""}, "None of the 1 images can be read, the first: {root}/a/1.png (empty file)"),
    ({"a/1.png": IMAGE, "a/2.png": IMAGE}, "1 people with 2 images, 1 of them with two or more, are too few"),
    ({f"p\n{i}/{j}.png": IMAGE for i in range(4) for j in range(4)}, "has a tab or a line break")])
def test_folders_that_do_not_do(files, message, tmp_path, capsys):
    root = tmp_path / "faces"
    if files is not None:
        root.mkdir()
        write(root, files)
    few = ["--folds", "2", "--pairs", "1"] if files and len(files) > 2 else []
    error = mistake(["pairs", root, "-o", tmp_path / "pairs.txt", "--quiet", *few], capsys)
    assert message.format(root=root) in error
    assert not (tmp_path / "pairs.txt").exists()


@pytest.mark.parametrize("data", ["drawn:people=2,images=2,size=32", "{folder}:{folder}", "{folder}.rec"])
def test_only_a_folder_has_files_to_name(data, folder, tmp_path, capsys):
    data = data.format(folder=folder)
    if data.endswith(".rec"):
        packing.pack(str(folder), str(tmp_path), quiet=True)
        data = str(tmp_path / "train.rec")
    assert f"'{data}' has no image files that a list could name" in mistake(["pairs", data], capsys)


@pytest.mark.parametrize("share", ["0", "1", "-3"])
def test_a_split_that_cannot_be(share, folder, tmp_path, capsys):
    error = mistake(["split", folder, "--validation", share, "-o", tmp_path / "out", "--quiet"], capsys)
    assert f"split ratio {float(share)}: expected a number between 0 and 1" in error
    assert not (tmp_path / "out").exists()
