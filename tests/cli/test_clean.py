"""tf-facenet clean: from a run with sub-centres to the next one without wrong labels."""

import csv

import numpy as np
import pytest

import train_softmax
from tf_facenet import cli
from tf_facenet.data import drawn
from tf_facenet.training.checkpoints import read_arrays

QUICK = ["--model_def", "tests.tiny:create", "--use_fixed_image_standardization", "--image_size", "32",
         "--embedding_size", "8", "--batch_size", "10", "--epoch_size", "3", "--max_nrof_epochs", "1", "--quiet"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of faces, runs with three and with one centre a person."""
    folder = tmp_path_factory.mktemp("clean")
    faces = drawn.draw(people=4, images=6, size=32)
    for number, (sample, label) in enumerate(zip(faces.samples, faces.labels, strict=True)):
        path = folder / "faces" / faces.names[label] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample)
    return folder, train(folder, "three", "--sub_centers", "3"), train(folder, "one")


def train(folder, name, *arguments):
    assert train_softmax.main([*QUICK, "--data_dir", str(folder / "faces"), "--models_base_dir", str(folder / name),
                               "--head", "arcface", "--scale", "8", *arguments]) == 0
    return max((folder / name).iterdir())


def test_clean_then_train_without(runs, capsys):
    folder, three, _ = runs
    assert cli.run_command(["clean", str(three), "--angle", "60", "--quiet"]) == 0
    with open(three / "far_images.csv", newline="") as file:
        listed = [row["image"] for row in csv.DictReader(file)]
    assert f"{len(listed)} of 24 images are farther than 60 degrees" in capsys.readouterr().out
    assert 0 < len(listed) < 24
    again = train(folder, "again", "--exclude_file", str(three / "far_images.csv"), "--pretrained_model", str(three),
                  "--learning_rate", "1e-9")
    centers = read_arrays(again / "checkpoints" / "checkpoint-000000003.npz", "model")["head/centers"]
    with np.load(three / "dominant_centers.npz") as dominant:
        kept = {name: row for name, row in zip(dominant["names"].tolist(), dominant["centers"], strict=True)}
    assert min(np.abs(row - centers[0]).max() for row in kept.values()) < 1e-4


def test_an_exclude_file_of_other_images(runs, tmp_path):
    folder, *_ = runs
    (tmp_path / "list.csv").write_text("image,person,degrees\nelsewhere/1.jpg,a,80\n")
    with pytest.raises(ValueError, match="names no image of --data_dir, but for example 'elsewhere/1.jpg'"):
        train(folder, "none", "--exclude_file", str(tmp_path / "list.csv"))


def test_mistakes_are_one_line(runs, capsys):
    _, three, one = runs
    for arguments, message in (
            ([one], "was trained with one centre a class"),
            ([three, "--angle", "200"], "--angle is 200.0; expected degrees between 0 and 180"),
            ([three / "checkpoints"], "is not a run folder"),
            ([three, "--data_dir", "drawn:people=4,images=6,size=32"], "has no files to list")):
        with pytest.raises(SystemExit) as stopped:
            cli.main(["clean", *map(str, arguments), "--quiet"])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
