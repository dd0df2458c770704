"""train_tripletloss.py from its command line."""

import csv

import numpy as np
import pytest

import train_tripletloss
from tf_facenet import config
from tf_facenet.inference.embedder import Embedder
from tf_facenet.options import TripletOptions

QUICK = ["--model_def", "tests.tiny:create", "--use_fixed_image_standardization", "--image_size", "32",
         "--embedding_size", "8", "--people_per_batch", "4", "--images_per_person", "3", "--epoch_size", "3",
         "--max_nrof_epochs", "2", "--log_every_n_steps", "1"]
DATA = ["--data_dir", "drawn:people=12,images=5,size=32"]


def train(base, *arguments):
    assert train_tripletloss.main([*QUICK, *DATA, "--models_base_dir", str(base), *arguments]) == 0
    return max(base.iterdir())


def rows(folder):
    with open(folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_facenets_flags_and_defaults():
    parsed = vars(config.parse(TripletOptions, []))
    facenet = {"alpha": 0.2, "batch_size": 90, "image_size": 160, "epoch_size": 1000, "embedding_size": 128,
               "max_nrof_epochs": 500, "random_crop": False, "random_flip": False, "keep_probability": 1.0,
               "weight_decay": 0.0, "optimizer": "ADAGRAD", "learning_rate": 0.1, "learning_rate_decay_epochs": 100,
               "learning_rate_decay_factor": 1.0, "moving_average_decay": 0.9999, "seed": 666, "lfw_nrof_folds": 10}
    assert {name: parsed[name] for name in facenet} == facenet
    assert {"people_per_batch", "images_per_person", "lfw_dir", "lfw_pairs", "pretrained_model"} <= set(parsed)


@pytest.mark.parametrize("arguments", [
    "--mining all --triplet_distance L2 --model_options batch_norm=false",
    "--softmax_loss_factor 0.5 --num_devices 2 --strategy mirrored",
    "--mining offline --batch_size 10 --random_flip --random_crop"])
def test_trains_verifies_and_resumes_exactly(tmp_path, arguments):
    options = [*arguments.split(), "--lfw_dir", "drawn:people=20,images=4,size=32,first=50", "--lfw_nrof_folds", "4",
               "--lfw_distance_metric", "1", "--lfw_flip", "sum", "--weight_decay", "1e-4"]
    if "mirrored" in arguments:  # two strategies in a process mix up their collectives
        options = options[:2]
    run = train(tmp_path / "two", *options)
    steps = [row for row in rows(run) if row["loss"]]
    assert len(steps) == 6
    for row in steps:
        parts = [float(row[name] or 0) for name in ("triplet_loss", "reg_loss")]
        factor = 0.5 * float(row["xent"] or 0)
        assert float(row["loss"]) == pytest.approx(sum(parts) + factor, rel=1e-5)
        assert 0 <= float(row["active_share"]) <= 1
        assert float(row["negative_distance"]) > 0
    one = train(tmp_path / "one", *options, "--max_nrof_epochs", "1")
    resumed = train(tmp_path / "one", "--resume", str(one), "--max_nrof_epochs", "2")
    again = [row for row in rows(resumed) if row["loss"]]
    np.testing.assert_allclose([float(row["loss"]) for row in again], [float(row["loss"]) for row in steps], rtol=1e-5)
    assert Embedder.load(run).image_size == (32, 32)


MISTAKES = {
    "one person": (["--data_dir", "drawn:people=1,images=9,size=32"], "has 1 person with readable images"),
    "one image a person": (["--data_dir", "drawn:people=9,images=1,size=32"],
                           "None of the 9 people of --data_dir has two images"),
    "batch larger than the data": (["--people_per_batch", "30"], "needs more than the 36 that 12 people have"),
    "no margin": (["--alpha", "0"], "--alpha is 0.0; expected above 0"),
    "one person a batch": (["--people_per_batch", "1"], "--people_per_batch is 1; expected at least 2"),
    "facenet's sizes": (["--batch_size", "90", "--people_per_batch", "45", "--images_per_person", "40"],
                        "are 1800; leave it out, or choose facenet's rounds, --mining offline"),
    "parts of a batch": (["--accumulate", "2"], "would look for triplets in a part of the batch only"),
    "parts of triplets": (["--mining", "offline", "--batch_size", "30", "--accumulate", "4"],
                          "--batch_size is 30; expected a multiple of 12 (1 devices x 4 micro-batches of triplets)"),
    "distance of the rounds": (["--mining", "offline", "--triplet_distance", "L2"], "selects by squared-L2"),
    "all frozen": (["--freeze", "*"], "--freeze * leaves nothing to train"),
    "unknown mining": (["--mining", "soft"], "invalid choice: 'soft'"),
}


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_mistakes_are_one_line(tmp_path, capsys, monkeypatch, mistake):
    arguments, message = MISTAKES[mistake]
    data = [] if "--data_dir" in arguments else DATA  # a second one would be joined
    argv = [*QUICK, *data, "--models_base_dir", str(tmp_path / "runs"), *arguments]
    monkeypatch.setattr("sys.argv", ["train_tripletloss.py", *argv])
    with pytest.raises(SystemExit) as stopped:
        config.run(train_tripletloss.main)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
