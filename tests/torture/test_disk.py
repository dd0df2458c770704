"""Disks that are full, read-only or slow, folders that vanish, and two trainings that want the same one."""

import os
import shutil
import signal
import subprocess

import pytest

from tests.torture import training_runs
from tests.torture.test_kills import check_same_end, wait
from tests.torture.training_runs import RUNS, only_run

ROW = next(iter(RUNS))
FILE_SIZE = 20_000  # bytes, less than a checkpoint, more than the small files of a run


@pytest.fixture(scope="module")
def whole(zygote, tmp_path_factory):
    """Run folder of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("whole")
    assert training_runs.start(zygote, ROW, folder, epochs=3).wait() == 0
    return only_run(folder)


@pytest.fixture
def interrupted(zygote, tmp_path):
    """A folder with a training that was stopped after some steps."""
    process = training_runs.start(zygote, ROW, tmp_path, epochs=3)
    wait(lambda: len(list(tmp_path.glob("runs/*/checkpoints/checkpoint-*.npz"))) > 2, process)
    process.kill(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return tmp_path


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts a small file system in memory with some options."""
    folder = tmp_path / "runs"
    folder.mkdir()

    def mount(options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            pytest.skip(f"mounting a file system is not allowed here: {done.stderr.strip()}")

    yield mount
    subprocess.run(["umount", folder], capture_output=True, check=False)


def refused(process, *words):
    """A training that ends with one line that says all the words."""
    status, output = process.wait(), process.text()
    lines = [line for line in output.splitlines() if ": error: " in line]
    assert status == 2, output
    assert len(lines) == 1, output
    assert all(word in lines[0] for word in words), lines[0]
    assert "Traceback" not in output


def test_full_from_the_beginning(zygote, ledger, tmp_path):
    refused(training_runs.start(zygote, ROW, tmp_path, file_size=FILE_SIZE),
            "cannot write checkpoint", "Free some space", "start again")
    assert not list((only_run(tmp_path) / "checkpoints").iterdir())
    ledger.count("full disk", **{"full at the start": 1})


@pytest.mark.torture
def test_full_on_the_way(zygote, ledger, interrupted, whole):
    refused(training_runs.resume(zygote, ROW, interrupted, file_size=FILE_SIZE), "is intact, go on with --resume")
    training_runs.check_checkpoints(only_run(interrupted))
    (interrupted / "output").unlink()
    assert training_runs.resume(zygote, ROW, interrupted).wait() == 0
    check_same_end(only_run(interrupted), whole)
    ledger.count("full disk", **{"full on the way": 1})


@pytest.mark.torture
def test_a_small_disk(zygote, ledger, mounted, tmp_path):
    mounted("size=150k")
    refused(training_runs.start(zygote, ROW, tmp_path), "No space left on device", "Free some space")
    training_runs.check_checkpoints(only_run(tmp_path))
    assert not list(tmp_path.rglob(".tmp-*"))
    ledger.count("full disk", **{"small file system": 1})


@pytest.mark.torture
def test_a_disk_to_read_only(zygote, mounted, tmp_path):
    mounted("size=1m,ro")
    refused(training_runs.start(zygote, ROW, tmp_path), "Read-only file system", "runs")


@pytest.mark.torture
def test_below_a_file(zygote, tmp_path):
    (tmp_path / "runs").touch()
    refused(training_runs.start(zygote, ROW, tmp_path), "Not a directory", "runs")


@pytest.mark.torture
def test_a_slow_disk(zygote, whole, tmp_path):
    assert training_runs.start(zygote, ROW, tmp_path, epochs=3, slow_disk=0.3).wait() == 0
    check_same_end(only_run(tmp_path), whole)


@pytest.mark.torture
@pytest.mark.parametrize("part", ["checkpoints", "."])
def test_folders_that_are_deleted_under_a_run(part, zygote, tmp_path):
    process = training_runs.start(zygote, ROW, tmp_path, epochs=3)
    wait(lambda: len(list(tmp_path.glob("runs/*/checkpoints/checkpoint-*.npz"))) > 2, process)
    run = only_run(tmp_path)
    shutil.rmtree(run / part, ignore_errors=True)
    if process.wait():
        refused(process, str(run))
    else:
        assert training_runs.check_checkpoints(run) == 3 * 40


def test_two_trainings_in_one_folder(zygote, ledger, tmp_path):
    first = training_runs.start(zygote, ROW, tmp_path)
    wait(lambda: list(tmp_path.glob("runs/*/checkpoints/checkpoint-*.npz")), first)
    run = only_run(tmp_path)
    other = tmp_path / "other"
    second = zygote.start(RUNS[ROW][0], ["--resume", str(run)], output=other)
    refused(second, str(run), "is being trained by another process")
    assert first.poll() is None
    first.kill(signal.SIGKILL)
    first.wait()
    os.truncate(first.output, 0)
    third = training_runs.resume(zygote, ROW, tmp_path)
    before = training_runs.losses(run)
    wait(lambda: len(training_runs.losses(run)) > len(before), third)
    third.kill(signal.SIGTERM)
    assert third.wait() == 128 + signal.SIGTERM, third.text()
    ledger.count("two trainings in one folder", **{"refused, and let in after a kill": 1})
