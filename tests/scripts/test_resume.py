"""A training that is asked to stop writes a checkpoint, from which it ends where an uninterrupted one does.

Those that are killed are in tests/torture.
"""

import csv
import signal
import time

import numpy as np
import pytest

from tests import clusters
from tf_facenet.inference.model_file import load_model

OPTIONS = [
    "--data_dir", "drawn:people=5,images=6,size=32",
    "--model_def", "tests.tiny:create", "--use_fixed_image_standardization",
    "--image_size", "24", "--random_crop", "--random_flip", "--embedding_size", "8",
    "--keep_probability", "0.8", "--batch_size", "10", "--epoch_size", "60",
    "--max_nrof_epochs", "5", "--optimizer", "ADAM", "--learning_rate", "0.02",
    "--center_loss_factor", "0.01", "--log_every_n_steps", "1", "--quiet",
    "--checkpoint_every_n_steps", "7", "--validation_set_split_ratio", "0.2"]


def finish(process, status=0):
    (ended, output), = clusters.finish([process], seconds=300)
    assert ended == status, output
    return output


def losses(folder):
    with open(folder / "history.csv", newline="") as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file)
                if row["loss"]}


def only_run(base):
    folder, = base.iterdir()
    return folder


def wait_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.text()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def size(path):
    return path.stat().st_size if path.exists() else 0


@pytest.fixture(scope="module")
def start(zygote, tmp_path_factory):
    """A function that forks the script, of the folder for runs and more options."""
    def start(base, *arguments):
        output = tmp_path_factory.mktemp("output") / "output"
        return zygote.start("train_softmax:main", [*OPTIONS, "--models_base_dir", str(base), *arguments], output=output)

    return start


@pytest.fixture(scope="module")
def uninterrupted(start, tmp_path_factory):
    base = tmp_path_factory.mktemp("uninterrupted")
    finish(start(base))
    return only_run(base)


def assert_same_run(folder, other):
    got, expected = losses(folder), losses(other)
    assert list(got) == list(expected)
    np.testing.assert_allclose(list(got.values()), list(expected.values()), rtol=1e-6)
    for left, right in zip(load_model(folder)[0].get_weights(), load_model(other)[0].get_weights(),
                           strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_write_a_checkpoint_and_say_how_to_go_on(start, uninterrupted, tmp_path, number):
    process = start(tmp_path)
    wait_for(lambda: any(size(path) > 2000 for path in tmp_path.glob("*/history.csv")), process)
    process.kill(number)
    output = finish(process, status=128 + number)
    folder = only_run(tmp_path)
    last = output.strip().splitlines()[-1]
    assert last.startswith(f"Stopped by {number.name} after step ")
    assert last.endswith(f"go on with --resume {folder}")
    step = int(last.split("step ")[1].split(";")[0])
    assert (folder / "checkpoints" / f"checkpoint-{step:09d}.npz").exists()
    finish(start(tmp_path, "--resume", str(folder)))
    assert_same_run(folder, uninterrupted)
