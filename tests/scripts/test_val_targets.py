"""insightface's verification sets during training and in validate_on_lfw.py."""

import csv
import json

import pytest
import tensorflow as tf

import train_softmax
import train_tripletloss
import validate_on_lfw
from tf_facenet.data import bins, drawn, pairs
from tf_facenet.evaluation import plots, verification
from tf_facenet.inference.embedder import Embedder

QUICK = ["--model_def", "tests.tiny:create", "--use_fixed_image_standardization", "--image_size", "32",
         "--embedding_size", "8", "--data_dir", "drawn:people=6,images=5,size=32", "--epoch_size", "2",
         "--max_nrof_epochs", "2", "--log_every_n_steps", "1", "--optimizer", "ADAM", "--learning_rate", "0.01"]
TRIPLETS = [*QUICK, "--people_per_batch", "4", "--images_per_person", "3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two sets of 24 drawn pairs."""
    folder = tmp_path_factory.mktemp("sets")
    for name, first in (("agedb_30", 100), ("cfp_fp", 200)):
        bins.write_bin(folder / f"{name}.bin", drawn.draw_pairs(8, 3, 32, 0, first, 2, 12))
    return folder


def sets(folder, names):
    return ",".join(str(folder / f"{name}.bin") for name in names)


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")
    assert train_tripletloss.main([
        *TRIPLETS, "--models_base_dir", str(base), "--lfw_dir", "drawn:people=8,images=3,size=32,first=50",
        "--val_targets", sets(folder, ("agedb_30", "cfp_fp")), "--lfw_nrof_folds", "2", "--lfw_flip", "sum",
        "--max_nrof_epochs", "1"]) == 0
    return max(base.iterdir())


def rows(run):
    with open(run / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_every_set_has_columns_events_and_a_result(run):
    row, = (row for row in rows(run) if row["lfw_accuracy"])
    events, = run.glob("events.out.tfevents.*")
    tags = {value.tag for event in tf.compat.v1.train.summary_iterator(str(events)) for value in event.summary.value}
    for name in ("lfw", "agedb_30", "cfp_fp"):
        columns = {f"{name}_{measure}" for measure in ("accuracy", "val", "far", "auc", "eer")}
        assert columns <= tags
        assert all(0 <= float(row[column]) <= 1 for column in columns)
        line = f"{row['step']}\t{float(row[f'{name}_accuracy']):.5f}\t{float(row[f'{name}_val']):.5f}\n"
        assert (run / f"{name}_result.txt").read_text() == line


def test_validation_repeats_the_numbers(run, folder, tmp_path, capsys, monkeypatch):
    """The first set by its path, the other by its name beside it."""
    drawn_plots = []
    monkeypatch.setattr(plots, "verification", lambda report, images, prefix: drawn_plots.append((len(images), prefix)))
    assert validate_on_lfw.main([
        str(folder / "cfp_fp.bin"), str(run), "--val_targets", "agedb_30", "--lfw_nrof_folds", "2", "--flip", "sum",
        "--quiet", "--json", str(tmp_path / "result.json"), "--plot", "lfw"]) == 0
    trained, = (row for row in rows(run) if row["cfp_fp_accuracy"])
    result = json.loads((tmp_path / "result.json").read_text())
    other = result["val_targets"]["agedb_30"]
    assert result["num_pairs"] == other["num_pairs"] == 24
    assert result["accuracy"] == pytest.approx(float(trained["cfp_fp_accuracy"]), abs=1e-6)
    assert other["eer"] == pytest.approx(float(trained["agedb_30_eer"]), abs=1e-6)
    out = capsys.readouterr().out.splitlines()
    expected = verification.verify(Embedder.load(run), pairs.load_pairs(folder / "agedb_30.bin", "", 2), "sum")
    assert out[-6:] == ["Runnning forward pass on AGEDB_30 images", expected.of_all_pairs(), *expected.lines()]
    assert "Runnning forward pass on CFP_FP images" in out
    assert drawn_plots == [(48, "lfw"), (48, "lfw_agedb_30")]


def test_a_resumed_run_may_have_other_sets(run, folder):
    before = rows(run)
    assert train_tripletloss.main([*TRIPLETS, "--resume", str(run), "--lfw_dir", "", "--max_nrof_epochs", "2",
                               "--val_targets", sets(folder, ["cfp_fp"])]) == 0
    after = rows(run)
    assert [row["lfw_accuracy"] for row in after[: len(before)]] == [row["lfw_accuracy"] for row in before]
    assert after[-1]["cfp_fp_accuracy"]
    assert not after[-1]["lfw_accuracy"]
    assert len((run / "cfp_fp_result.txt").read_text().splitlines()) == 2
    assert json.loads((run / "metadata.json").read_text())["threshold"]["value"] > 0


@pytest.mark.parametrize(("targets", "error", "message"), [
    ("nowhere", OSError, "No file 'nowhere.bin': looked for 'nowhere.bin'"),
    ("damaged", ValueError, "verification set '.*damaged.bin': the pickle is damaged or not whole"),
    ("cfp_fp,cfp_fp", ValueError, "the name 'cfp_fp' is taken")])
def test_mistakes_are_found_before_training(folder, tmp_path, targets, error, message):
    (folder / "damaged.bin").write_bytes((folder / "cfp_fp.bin").read_bytes()[:5000])
    with pytest.raises(error, match=message):
        pairs.load_sets("", "pairs.txt", targets, folder)
    if targets == "nowhere":
        with pytest.raises(error, match=message):
            train_softmax.main([*QUICK, "--models_base_dir", str(tmp_path), "--val_targets", targets])
        assert not list(tmp_path.iterdir())
