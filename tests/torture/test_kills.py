"""Trainings that are killed at any moment, most of all while they write, end as uninterrupted ones do."""

import random
import signal
import time

import numpy as np
import pytest

from tests.torture import training_runs
from tests.torture.ledger import KILLS
from tests.torture.training_runs import RUNS, WORKERS, only_run
from tf_facenet.inference.model_file import load_model

SLOW_DISK = 0.02  # seconds, so that a process spends some of its time in writing
WRITING = 0.7  # share of the kills that come while a file is written
TEMPORARY = 2  # files that one killed process may leave
ROWS = [pytest.param(row, marks=pytest.mark.torture if row in WORKERS else ()) for row in RUNS]


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_kills(row, zygote, effort, ledger, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    epochs, kills = effort(3, 15), effort(1, 29 // WORKERS.get(row, 1))
    assert training_runs.start(zygote, row, whole, epochs=epochs).wait() == 0, (whole / "output").read_text()
    moments, steps = random.Random(row), 0
    process = training_runs.start(zygote, row, killed, epochs=epochs, slow_disk=SLOW_DISK)
    for _ in range(kills):
        kind = KILLS[moments.random() >= WRITING]
        wait_and_kill(process, killed, kind, moments)
        ledger.count(f"kills, {row}", **{kind: 1})
        run = only_run(killed)
        assert len(list(run.rglob(".tmp-*"))) <= TEMPORARY
        assert training_runs.check_checkpoints(run) is not None
        steps += training_runs.check_history(run, only_run(whole))
        process = training_runs.resume(zygote, row, killed, slow_disk=SLOW_DISK)
    assert process.wait() == 0, process.text()
    ledger.count(f"kills, {row}", **{"losses compared": steps})
    check_same_end(only_run(killed), only_run(whole))


def wait_and_kill(process, folder, kind, moments):
    """Kill a training that has done a step, at once or while a file is being written."""
    before = size(folder)
    wait(lambda: size(folder) != before and any(folder.glob("runs/*/checkpoints/checkpoint-*.npz")), process)
    time.sleep(moments.uniform(0, 0.2))
    if kind == KILLS[0]:
        run = only_run(folder)
        wait(lambda: any(run.glob("checkpoints/.tmp-*")), process)
        time.sleep(moments.uniform(0, SLOW_DISK / 2))
    process.kill(signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, 0), process.text()


def size(folder):
    path = next(folder.glob("runs/*/history.csv"), None)
    return path.stat().st_size if path else 0


def wait(condition, process):
    """Until something is so, or the process has ended."""
    deadline = time.monotonic() + 240
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, process.text()
        time.sleep(0.002)
    assert process.status in (None, 0), process.text()


def check_same_end(run, whole):
    assert list(training_runs.losses(run)) == list(training_runs.losses(whole))
    training_runs.check_history(run, whole)
    for left, right in zip(*(load_model(folder)[0].get_weights() for folder in (run, whole)), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-7)
    assert not list(run.rglob(".tmp-*"))
