"""train_softmax.py from its command line: what it writes, and what it says to mistakes."""

import csv
import json
import pathlib
import re
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

import train_softmax
from tests import process
from tests.conftest import ROOT
from tf_facenet import backbones, cli, config, losses
from tf_facenet.inference.embedder import Embedder
from tf_facenet.inference.model_file import load_model
from tf_facenet.training import pretrained
from tf_facenet.training.loop import Loop

PEOPLE = "drawn:people=5,images=6,size=32"
QUICK = ["--model_def", "tests.tiny:create", "--use_fixed_image_standardization",
         "--image_size", "32", "--embedding_size", "8", "--batch_size", "10",
         "--epoch_size", "3", "--max_nrof_epochs", "2", "--log_every_n_steps", "1"]


def train(base, *arguments):
    assert train_softmax.main([*QUICK, "--models_base_dir", str(base), *arguments]) == 0
    return max(base.iterdir())


def rows(folder):
    with open(folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")
    return train(
        base, "--data_dir", PEOPLE, "--random_crop", "--random_flip", "--random_rotate",
        "--optimizer", "ADAM", "--learning_rate", "-1", "--learning_rate_schedule_file", "casia",
        "--weight_decay", "5e-4", "--center_loss_factor", "1e-2",
        "--prelogits_norm_loss_factor", "5e-4", "--keep_probability", "0.8",
        "--validation_set_split_ratio", "0.2", "--validate_every_n_epochs", "1",
        "--lfw_dir", "drawn:people=20,images=4,size=32,first=50", "--lfw_nrof_folds", "4",
        "--lfw_distance_metric", "1", "--lfw_use_flipped_images", "--lfw_subtract_mean",
        "--log_histograms", "--template", "112x112", "--export", "saved_model,onnx,tflite",
        "--model_options", "batch_norm=true")


@pytest.mark.parametrize("arguments", [
    "arcface --scale 16 --margin 0.3 --sub_centers 2 --sample_rate 0.8 --interclass_filtering_threshold 0.4",
    "adaface --scale auto --easy_margin --margin_warmup_steps 4 --label_smoothing 0.1 --jitter 0.2 --random_erase 0.5",
    "sphereface --margin 4 --annealing --past_pi fallback"])
def test_margin_heads_train_validate_and_resume(tmp_path, arguments, monkeypatch):
    monkeypatch.setattr(losses, "CenterLoss", None)  # its centres would be as large as the head
    options = ["--head", *arguments.split(), "--data_dir", "drawn:people=15,images=5,size=32",
               "--validation_set_split_ratio", "0.2", "--validate_every_n_epochs", "1"]
    run = train(tmp_path / "two", *options)
    assert all(np.isfinite(float(row["val_xent"])) for row in rows(run) if row["val_xent"])
    one = train(tmp_path / "one", *options, "--max_nrof_epochs", "1")
    resumed = train(tmp_path / "one", "--resume", str(one), "--max_nrof_epochs", "2")
    for row, again in zip(rows(run), rows(resumed), strict=True):
        assert float(again["loss"] or 0) == pytest.approx(float(row["loss"] or 0), rel=1e-6)


def test_the_network_in_the_documents_trains_resumes_and_serves(tmp_path, monkeypatch, capsys):
    """docs/training.md, a backbone of your own: every command that loads the model is told where its layer is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    section = (ROOT / "docs" / "training.md").read_text().partition("## A backbone of your own")[2]
    pathlib.Path("mynet.py").write_text(section.partition("```python\n")[2].partition("```")[0])
    own = ["--model_def", "mynet.py:create", "--model_options", "width=8", "--data_dir", PEOPLE]
    run = train(tmp_path / "runs", *own, "--max_nrof_epochs", "1")
    assert train_softmax.main(["--resume", str(run), "--max_nrof_epochs", "2", "--export", "saved_model"]) == 0
    assert Embedder.load(run / "saved_model").image_size == (32, 32)  # an export has no layers
    pairs = "drawn:people=20,images=4,size=32"
    for command in (["embed", str(run), PEOPLE], ["export", str(run), "mynet.onnx"], ["report", str(run)],
                    ["threshold", str(run), pairs, "--far", "0.1"]):
        with pytest.raises(ValueError, match=r"Could not locate class 'SoftLimit' of 'mynet'\..* with --import"):
            cli.run_command(command)
    assert cli.run_command(["embed", str(run), PEOPLE, "--import", "mynet.py"]) == 0
    assert "5 people: embeddings.npz" in capsys.readouterr().out
    network = backbones.create("mynet.py:create", 32, 8, width=8)
    assert pretrained.load(network, run, backbones.own.objects("", "mynet.py:create"))["skipped"] == []
    layer = sys.modules["mynet"].SoftLimit
    assert Embedder.load(run, custom_objects={"SoftLimit": layer}).image_size == (32, 32)
    del sys.modules["mynet"]


def test_no_memory_for_a_step(tmp_path, monkeypatch):
    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(Loop, "run", full)
    with pytest.raises(OSError, match="out of memory in step 1. Try a smaller --batch_size, .*00000.npz is intact"):
        train(tmp_path, "--data_dir", PEOPLE)


def test_a_loss_that_does_not_fall_is_said(tmp_path, capsys):
    train(tmp_path, "--data_dir", "drawn:people=60,images=2,size=32", "--head", "arcface", "--learning_rate", "1e-7",
          "--epoch_size", "100")
    output = capsys.readouterr().out
    assert re.search(r"Cross-entropy of an untrained network: \d+\.\d\d", output)
    assert re.search(r"After 200 steps the cross-entropy is [\d.]+; an untrained network has [\d.]+", output)


def test_the_run_folder_is_complete(run):
    names = {path.name for path in run.iterdir()}
    assert names >= {"options.json", "revision_info.txt", "history.csv", "curves.png",
                     "checkpoints", "model.keras", "metadata.json", "lfw_result.txt", "saved_model"}
    assert list(run.glob("events.out.tfevents.*"))
    assert [path.name for path in sorted((run / "checkpoints").iterdir())] == [
        f"checkpoint-{step:09d}.npz" for step in (0, 3, 6)]
    assert cv2.imread(str(run / "curves.png")) is not None
    assert json.loads((run / "options.json").read_text())["model_options"] == {"batch_norm": True}


def test_events_hold_curves_and_histograms(run):
    events, = run.glob("events.out.tfevents.*")
    tags = {value.tag for event in tf.compat.v1.train.summary_iterator(str(events))
            for value in event.summary.value}
    assert tags >= {"loss", "xent", "learning_rate", "lfw_accuracy", "val_xent", "prelogits",
                    "conv1/kernel"}


def test_history_has_every_step_and_validation(run):
    steps = [row for row in rows(run) if row["loss"]]
    assert [(row["step"], row["epoch"]) for row in steps] == [
        ("1", "1"), ("2", "1"), ("3", "1"), ("4", "2"), ("5", "2"), ("6", "2")]
    for row in steps:
        total = float(row["xent"]) + float(row["reg_loss"])
        assert float(row["loss"]) == pytest.approx(total, rel=1e-5)
        assert float(row["learning_rate"]) == pytest.approx(0.05)
        assert float(row["center_loss"]) > 0
    validations = [row for row in rows(run) if row["val_xent"]]
    assert [row["step"] for row in validations] == ["3", "6"]
    assert all(float(row["val_loss"]) > float(row["val_xent"]) > 0 for row in validations)


def test_lfw_result_is_facenets(run):
    lines = (run / "lfw_result.txt").read_text().splitlines()
    evaluations = [row for row in rows(run) if row["lfw_accuracy"]]
    assert lines == [f"{row['step']}\t{float(row['lfw_accuracy']):.5f}\t{float(row['lfw_val']):.5f}"
                     for row in evaluations]
    assert [row["step"] for row in evaluations] == ["3", "6"]


def test_the_model_knows_what_it_needs(run):
    model, metadata = load_model(run)
    assert model.input_shape == (None, 32, 32, 3)
    assert metadata["class_names"][1] == "person_000001"
    assert metadata["standardization"] == "fixed"
    assert metadata["template"] == "112x112"
    stored = metadata["threshold"]  # the best accuracy's, for which no rate was asked for
    assert (stored["distance"], stored["flip"], stored["far"], stored["different_pairs"]) == (
        "cosine", "concat", None, 120)
    assert stored["far_interval"][0] <= stored["false_accepts"] / 120 <= stored["far_interval"][1]
    assert metadata["options"]["optimizer"] == "ADAM"
    assert json.loads((run / "metadata.json").read_text())["class_names"] == metadata["class_names"]
    assert Embedder.load(run).embed(np.zeros((2, 32, 32, 3), "uint8")).shape == (2, 8)


def test_the_exports_are_the_model(run):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    model = Embedder.load(run)
    for name in ("saved_model", "model.onnx", "model.tflite"):
        export = Embedder.load(run / name)
        np.testing.assert_allclose(export.embed(pixels), model.embed(pixels), atol=1e-4)
        assert export.metadata["class_names"] == model.metadata["class_names"]
        assert export.threshold == pytest.approx(model.threshold)


def test_console_lines_are_facenets(tmp_path, capsys):
    train(tmp_path, "--data_dir", PEOPLE, "--max_nrof_epochs", "1")
    out = capsys.readouterr().out
    assert "Number of classes in training set: 5\n" in out
    assert "Number of examples in training set: 30\n" in out
    line = next(line for line in out.splitlines() if line.startswith("Epoch: [1][3/3]"))
    assert [field.split()[0] for field in line.split("\t")] == [
        "Epoch:", "Time", "Loss", "Xent", "RegLoss", "Accuracy", "Lr", "Cl"]
    assert "Finished after step 3; the model is" in out


def test_the_schedule_file_stops_training(tmp_path):
    schedule = tmp_path / "rates.txt"
    schedule.write_text("0: 0.1\n2: -\n")
    folder = train(tmp_path / "runs", "--data_dir", PEOPLE, "--learning_rate", "0",
                   "--learning_rate_schedule_file", str(schedule))
    assert rows(folder)[-1]["step"] == "3"


def test_two_devices_equal_one(tmp_path):
    """The whole script under MirroredStrategy; the batch of ten is split into two of five."""
    losses = []
    for devices in ("1", "2"):
        done = process.python(
            "train_softmax.py", *QUICK, "--models_base_dir", tmp_path / devices, "--data_dir", PEOPLE,
            "--optimizer", "MOM", "--learning_rate", "0.01", "--center_loss_factor", "0.1",
            "--num_devices", devices)
        assert done.returncode == 0, done.stderr
        folder, = (tmp_path / devices).iterdir()
        losses.append([float(row["loss"]) for row in rows(folder)])
    assert len(losses[0]) == 6
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_resume_in_mid_epoch_and_with_more_epochs(run, tmp_path):
    arguments = ("--data_dir", PEOPLE, "--random_crop", "--random_flip", "--random_rotate",
                 "--keep_probability", "0.8", "--checkpoint_every_n_steps", "2",
                 "--keep_checkpoints", "9")
    whole = train(tmp_path / "whole", *arguments, "--max_nrof_epochs", "3")
    folder = train(tmp_path / "parts", *arguments)
    for path in (folder / "checkpoints").iterdir():
        if path.name > "checkpoint-000000004.npz":
            path.unlink()
    assert train_softmax.main(["--resume", str(folder), "--max_nrof_epochs", "3"]) == 0
    assert [row["step"] for row in rows(folder)] == [row["step"] for row in rows(whole)]
    np.testing.assert_allclose([float(row["loss"]) for row in rows(folder)],
                               [float(row["loss"]) for row in rows(whole)], rtol=1e-6)


def test_a_run_killed_before_its_last_checkpoint_writes_its_model_again(tmp_path):
    """What an epoch leaves is written before its checkpoint, so that resuming never misses it."""
    folder = train(tmp_path, "--data_dir", PEOPLE)
    expected = load_model(folder)[0].get_weights()
    (folder / "checkpoints" / "checkpoint-000000006.npz").unlink()
    (folder / "model.keras").unlink()
    assert train_softmax.main(["--resume", str(folder)]) == 0
    for left, right in zip(load_model(folder)[0].get_weights(), expected, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


def test_finetune_freezes_and_keeps_what_was_loaded(run, tmp_path):
    folder = train(tmp_path, "--data_dir", "drawn:people=3,images=6,size=32,first=9",
                   "--pretrained_model", str(run), "--freeze", "conv*")
    before, after = load_model(run)[0], load_model(folder)[0]
    for name in ("conv1", "conv2"):
        np.testing.assert_array_equal(before.get_layer(name).get_weights(),
                                      after.get_layer(name).get_weights())
    assert np.abs(before.get_layer("features").get_weights()[0]
                  - after.get_layer("features").get_weights()[0]).max() > 0


@pytest.mark.parametrize(("people", "message"), [
    (PEOPLE, "the head is loaded; the classes are the same"),
    ("drawn:people=4,images=6,size=32", "the head is new; 5 classes before, 4 now"),
    ("drawn:people=5,images=6,size=32,first=7", "5 classes before, 5 now, of other names")])
def test_finetuning_keeps_the_head_for_the_same_people(run, tmp_path, capsys, people, message):
    train(tmp_path, "--data_dir", people, "--pretrained_model", str(run),
          "--epoch_size", "1", "--max_nrof_epochs", "1")
    assert message in capsys.readouterr().out


@pytest.fixture
def people(tmp_path):
    """A folder of two people with three images each."""
    rng = np.random.default_rng(0)
    for name in ("ann", "bob"):
        (tmp_path / "people" / name).mkdir(parents=True)
        for index in range(3):
            image = rng.integers(0, 256, (32, 32, 3), "uint8")
            cv2.imwrite(str(tmp_path / "people" / name / f"{index}.png"), image)
    return tmp_path / "people"


def test_bad_files_are_listed_and_skipped(people, tmp_path):
    (people / "ann" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    (people / "bob" / "empty.png").write_bytes(b"")
    folder = train(tmp_path / "runs", "--data_dir", str(people))
    lines = (folder / "bad_files.txt").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        str(people / "ann" / "broken.jpg"), str(people / "bob" / "empty.png")]
    assert lines[1].endswith("\tempty file")


MISTAKES = {
    "no such folder": (["--data_dir", "{tmp}/nowhere"], "no folder '{tmp}/nowhere'"),
    "folder without people": (["--data_dir", "{tmp}/people/ann"], "has no sub-folders"),
    "one person only": (["--data_dir", "drawn:people=1,images=4,size=32"],
                        "has 1 person with readable images; training needs at least two"),
    "image smaller than the network allows": (
        ["--model_def", "inception_resnet_v1", "--image_size", "40"], "at least 75"),
    "unknown backbone": (["--model_def", "resnet51"], "Unknown backbone 'resnet51'"),
    "option of another backbone": (["--model_def", "small", "--model_options", "neck=gdc"],
                                   "Backbone 'small' takes no 'neck'; it takes activation, epsilon, gradients"),
    "unknown option of an application": (["--model_def", "keras:VGG16", "--model_options", "alpha=0.5"],
                                         "Backbone 'keras:VGG16' takes no 'alpha'; it takes activation, epsilon"),
    "unknown application": (["--model_def", "keras:VGG61"],
                            "keras.applications has no 'VGG61'. Choose one of: VGG19, VGG16"),
    "windows that do not tile": (["--model_def", "swin_t", "--model_options", "window=3"],
                                 "window is 3; it does not tile the maps of [8, 4, 2, 1] places"),
    "malformed pairs": (["--lfw_dir", "{tmp}/people", "--lfw_pairs", "{tmp}/pairs.txt"],
                        "line 2: expected"),
    "missing pretrained": (["--pretrained_model", "{tmp}/none"], "does not exist"),
    "resume of something else": (["--resume", "{tmp}/people"], "is not a run folder"),
    "bad drawn description": (["--data_dir", "drawn:persons=4"], "persons"),
    "unknown export": (["--export", "caffe"], "Unknown export format 'caffe'"),
    "no schedule file": (["--learning_rate", "-1", "--learning_rate_schedule_file", "none.txt"],
                         "no learning rate schedule file 'none.txt'"),
    "batch that cannot be split": (["--num_devices", "2", "--batch_size", "9"],
                                   "--batch_size is 9; expected a multiple of 2"),
    "too small a split": (["--validation_set_split_ratio", "0.5",
                           "--min_nrof_val_images_per_class", "50"], "0 people keep enough"),
    "unknown head": (["--head", "arcfase"], "Unknown head 'arcfase'. Choose one of: adaface, arcface,"),
    "option of another head": (["--scale", "30"], "Head 'softmax' takes no 'scale'; it takes label_smoothing"),
    "margin in degrees": (["--head", "arcface", "--margin", "28.6"], "margin is 28.6; expected 0 to 1.5708"),
    "a rising target": (["--head", "combined", "--m2", "-0.3"], "make the target larger than cos"),
    "no sample": (["--head", "arcface", "--sample_rate", "0"], "sample_rate is 0.0; expected above 0 up to 1"),
    "sample smaller than a batch": (["--head", "arcface", "--sample_rate", "0.5"],
                                    "sample_rate 0.5 of 2 classes is 1; a batch of 10 may hold more"),
    "no scale": (["--head", "arcface", "--scale", "big"], "argument --scale: invalid scale value: 'big'"),
    "people file of other people": (["--people_file", "{tmp}/people.txt"],
                                    "names none of the 2 people"),
}


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_mistakes_leave_one_line_and_no_run(people, tmp_path, capsys, monkeypatch, mistake):
    arguments, message = MISTAKES[mistake]
    (tmp_path / "pairs.txt").write_text("10\t300\nann one two\n")
    (tmp_path / "people.txt").write_text("zoe\t3\n")
    data = [] if "--data_dir" in arguments else ["--data_dir", str(people)]  # a second one would be joined
    argv = [*QUICK, "--models_base_dir", str(tmp_path / "runs"), *data,
            *(argument.format(tmp=tmp_path) for argument in arguments)]
    monkeypatch.setattr("sys.argv", ["train_softmax.py", *argv])
    with pytest.raises(SystemExit) as stopped:
        config.run(train_softmax.main)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert stopped.value.code == 2
    assert error.startswith("train_softmax.py: error: ")
    assert message.format(tmp=tmp_path) in error
    assert not (tmp_path / "runs").exists()


def test_a_class_without_readable_images(people, tmp_path, capsys, monkeypatch):
    for path in (people / "ann").iterdir():
        path.write_bytes(b"")
    argv = [*QUICK, "--models_base_dir", str(tmp_path / "runs"), "--data_dir", str(people)]
    with pytest.raises(ValueError, match="1 person with readable images"):
        train_softmax.main(argv)
    with pytest.raises(ValueError, match="4 unreadable files|3 unreadable files"):
        train_softmax.main([*argv, "--strict_data"])
    assert not (tmp_path / "runs").exists()


def test_resume_with_an_option_that_matters(run):
    with pytest.raises(ValueError, match="--embedding_size was 8 in .* cannot become 16"):
        train_softmax.main(["--resume", str(run), "--embedding_size", "16"])


def test_nan_stops_with_the_step_the_checkpoint_and_advice(tmp_path):
    with pytest.raises(ValueError, match=(
            r"the loss is (nan|inf) at step \d+.*last good checkpoint is .*checkpoint-\d+.npz.*"
            "lower --learning_rate")):
        train(tmp_path, "--data_dir", PEOPLE, "--optimizer", "MOM", "--learning_rate", "1e30",
              "--max_nrof_epochs", "9")


def test_a_full_disk_says_what_is_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tf_facenet.training.callbacks.save_model", full)
    with pytest.raises(OSError, match=(r"cannot write to .*: No space left on device. Free some space; "
                                       r"checkpoint-000000000.npz is intact, go on with --resume")):
        train(tmp_path, "--data_dir", PEOPLE)


def test_filter_file(people, tmp_path):
    import h5py

    paths = sorted(map(str, people.rglob("*.png")))
    with h5py.File(tmp_path / "filter.h5", "w") as file:
        file["image_list"] = paths
        file["distance_to_center"] = np.array([.1, .2, .9, .1, .2, .3])
    folder = train(tmp_path / "runs", "--data_dir", str(people), "--filter_filename",
                   str(tmp_path / "filter.h5"), "--filter_percentile", "90")
    assert pathlib.Path(folder / "model.keras").exists()
