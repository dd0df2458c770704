"""Trainings that are short, use everything that a checkpoint must hold, and are the same each time."""

import csv
import zipfile

import numpy as np

from benchmarks.ports import free_addresses

COMMON = ["--data_dir", "drawn:people=5,images=6,size=32", "--model_def", "tests.tiny:create",
          "--use_fixed_image_standardization", "--image_size", "24", "--random_crop", "--random_flip",
          "--embedding_size", "8", "--keep_probability", "0.8", "--epoch_size", "40", "--optimizer", "ADAM",
          "--learning_rate", "0.02", "--log_every_n_steps", "1", "--quiet", "--checkpoint_every_n_steps", "5"]
SOFTMAX = "train_softmax:main"

# Name → (function, options besides the common ones). Another strategy is another row.
RUNS = {
    "softmax, center loss, averages": (SOFTMAX, [
        "--batch_size", "10", "--center_loss_factor", "0.01", "--moving_average_decay", "0.9",
        "--validation_set_split_ratio", "0.2"]),
    "arcface, sampled classes": (SOFTMAX, [
        "--data_dir", "drawn:people=40,images=4,size=32", "--batch_size", "10", "--head", "arcface", "--scale", "16",
        "--sample_rate", "0.5"]),
    "triplets": ("train_tripletloss:main", ["--people_per_batch", "4", "--images_per_person", "3"]),
    "two workers": (SOFTMAX, ["--batch_size", "10", "--center_loss_factor", "0.01"]),
}
WORKERS = {"two workers": 2}  # rows that are trained by several processes


class Together:
    """Processes that train together and die together, as on one machine; what counts is what the first one says."""

    def __init__(self, children):
        self.children = children

    def kill(self, number):
        """`Child.kill` of all."""
        for child in self.children:
            child.kill(number)

    def wait(self):
        """The first one's exit status when all have ended."""
        return [child.wait() for child in self.children][0]

    def __getattr__(self, name):
        return getattr(self.children[0], name)


def start(zygote, row, folder, *more, epochs=15, **circumstances):
    """Fork a run of a row of the table; its folder is made in `folder`, beside what it prints."""
    _, options = RUNS[row]
    # Given twice, data_dir would mean both.
    common = COMMON[2:] if "--data_dir" in options else COMMON
    command = [*common, *options, "--models_base_dir", str(folder / "runs"), "--max_nrof_epochs", str(epochs), *more]
    return _fork(zygote, row, command, folder, **circumstances)


def resume(zygote, row, folder, *more, **circumstances):
    """Fork a process that goes on with the run in `folder`."""
    return _fork(zygote, row, ["--resume", str(only_run(folder)), *more], folder, **circumstances)


def _fork(zygote, row, command, folder, **circumstances):
    function, count = RUNS[row][0], WORKERS.get(row, 1)
    if count == 1:
        return zygote.start(function, command, output=folder / "output", **circumstances)
    addresses = ",".join(free_addresses(count))
    return Together([
        zygote.start(function, [*command, "--workers", addresses, "--worker_index", str(index)],
                     output=folder / ("output" if not index else f"output{index}"), **circumstances)
        for index in range(count)])


def only_run(folder):
    """The run folder."""
    run, = (folder / "runs").iterdir()
    return run


def losses(run):
    """Step → loss of the whole lines of a history."""
    with open(run / "history.csv", newline="") as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(
            line for line in file if line.endswith("\n")) if row["loss"]}


def check_history(run, whole):
    """What a run has learned so far is what the uninterrupted run `whole` has at those steps."""
    got, expected = losses(run), losses(whole)
    np.testing.assert_allclose(list(got.values()), [expected[step] for step in got], rtol=1e-6)
    return len(got)


def check_checkpoints(run):
    """Each file that has the name of a checkpoint is whole; returns the step of the newest, or None."""
    paths = sorted((run / "checkpoints").glob("checkpoint-*.npz"))
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None, path
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                if name != "manifest.json" and arrays[name].dtype.kind == "f":
                    assert np.isfinite(arrays[name]).all(), (path, name)
    return int(paths[-1].stem.split("-")[1]) if paths else None
