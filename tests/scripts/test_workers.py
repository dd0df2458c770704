"""train_softmax.py by two processes: one is killed, one gets a signal, and the run still ends where it should."""

import csv
import signal
import time

import numpy as np
import pytest

import train_softmax
from benchmarks.ports import free_addresses
from tests import clusters

EPOCH, EPOCHS = 100, 3
OPTIONS = ["--data_dir", "drawn:people=5,images=6,size=32", "--model_def", "tests.tiny:create",
           "--use_fixed_image_standardization", "--image_size", "24", "--random_crop", "--random_flip",
           "--embedding_size", "8", "--batch_size", "10", "--epoch_size", str(EPOCH), "--max_nrof_epochs", str(EPOCHS),
           "--optimizer", "MOM", "--learning_rate", "0.005", "--center_loss_factor", "0.01", "--log_every_n_steps", "1",
           "--checkpoint_every_n_steps", "7", "--quiet"]
SECONDS = 60  # in which a worker must notice that another one is gone


def start_two(zygote, folder, *arguments):
    workers = ",".join(free_addresses(2))
    folder.mkdir()
    return [zygote.start("train_softmax:main", [*arguments, "--workers", workers, "--worker_index", str(index)],
                         output=folder / f"output{index}") for index in range(2)]


def rows(folder):
    path = folder / "history.csv"
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [row for row in csv.DictReader(file) if row["loss"]]


def only_run(base):
    folder, = base.iterdir()
    return folder


def wait_for_step(base, step, processes):
    """Until the only run in `base` has logged a step."""
    deadline = time.monotonic() + 200
    while not (list(base.glob("*")) and len(rows(only_run(base))) >= step):
        assert all(process.poll() is None for process in processes), [process.text() for process in processes]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_stopped_and_gone_on(zygote, tmp_path):
    two, one = tmp_path / "two", tmp_path / "one"
    # Killed in the middle of an epoch: the chief notices and says so.
    processes = start_two(zygote, tmp_path / "killed", *OPTIONS, "--models_base_dir", str(two))
    wait_for_step(two, 20, processes)
    processes[1].kill(signal.SIGKILL)
    (status, output), _ = clusters.finish(processes, SECONDS)
    assert status == 2, output
    said, = (line for line in output.splitlines() if line.startswith("train_softmax.py: error: "))
    assert said.startswith("train_softmax.py: error: worker 0 lost worker "), output
    assert said.endswith("Stopped; start all workers again with --resume"), output
    # Both go on. SIGTERM at the one that is not the chief: the chief writes a checkpoint, both stop.
    folder = only_run(two)
    processes = start_two(zygote, tmp_path / "stopped", "--resume", str(folder))
    wait_for_step(two, EPOCH + 20, processes)
    processes[1].kill(signal.SIGTERM)
    (status, output), (other, _) = clusters.finish(processes, SECONDS)
    assert (status, other) == (128 + signal.SIGTERM,) * 2, output
    step = int(rows(folder)[-1]["step"])
    assert f"Stopped by SIGTERM after step {step}; go on with --resume {folder}" in output
    assert (folder / "checkpoints" / f"checkpoint-{step:09d}.npz").exists()
    assert EPOCH < step < EPOCHS * EPOCH
    # A single process ends it, and has done what one does from the beginning.
    assert train_softmax.main(["--resume", str(folder)]) == 0
    assert train_softmax.main([*OPTIONS, "--models_base_dir", str(one)]) == 0
    got, expected = rows(folder), rows(only_run(one))
    assert [row["step"] for row in got] == [row["step"] for row in expected]
    for column in ("loss", "xent", "center_loss", "accuracy"):
        np.testing.assert_allclose(*([float(row[column]) for row in each] for each in (got, expected)), rtol=2e-3,
                                   atol=1e-5, err_msg=column)
