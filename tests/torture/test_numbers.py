"""Long trainings, and trainings whose numbers go wrong."""

import json
import os
import re
import signal
import time

import numpy as np
import pytest

from tests.pictures import encode, picture
from tests.torture import training_runs
from tests.torture.test_kills import wait
from tests.torture.training_runs import COMMON, RUNS, SOFTMAX, losses, only_run
from tf_facenet.inference.model_file import load_model
from tf_facenet.options.run import DeviceOptions

ROW = next(iter(RUNS))
EVERY = 2.0  # seconds between two looks at a process
WARM_UP = 0.4  # share of the time in which memory may grow
SLOPE = 1.0  # MB a minute
PRECISIONS = DeviceOptions.__dataclass_fields__["precision"].metadata["choices"]


def look(pid):
    """(seconds, MB of memory, threads, open files) of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return time.monotonic(), resident, len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.slow
@pytest.mark.torture
def test_a_long_training_stays_as_large_as_it_is(request, zygote, ledger, tmp_path):
    seconds = request.config.getoption("soak")
    child = training_runs.start(zygote, ROW, tmp_path, "--log_every_n_steps", "10", "--checkpoint_every_n_steps", "0",
                                epochs=1_000_000)
    wait(lambda: any(tmp_path.glob("runs/*/model.keras")), child)
    begin, line = time.monotonic(), []
    while time.monotonic() < begin + seconds and child.poll() is None:
        line.append(look(child.pid))
        time.sleep(EVERY)
    child.kill(signal.SIGTERM)
    assert child.wait() == 128 + signal.SIGTERM, child.text()
    at, megabytes, threads, files = np.array(line[int(len(line) * WARM_UP):]).T
    slope = np.polyfit(at / 60, megabytes, 1)[0]
    steps = max(losses(only_run(tmp_path)))
    ledger.note("long training", seconds=round(seconds), steps=steps, line=np.round(megabytes, 1).tolist(),
                **{"MB a minute": round(slope, 2), "threads": int(threads.max()), "open files": int(files.max())})
    assert slope <= SLOPE, json.dumps(megabytes.tolist())
    half = len(at) // 2  # a validation has threads of its own for a moment
    assert threads[half:].max() <= threads[:half].max() + 2
    assert files.max() - files.min() <= 4  # a checkpoint and a model may be open


def finite_or_absent(run):
    training_runs.check_checkpoints(run)
    if (run / "model.keras").exists():
        assert all(np.isfinite(weight).all() for weight in load_model(run)[0].get_weights())


RATES = ["1e3", "1e18", "1e38"]


@pytest.mark.parametrize(("precision", "rate", "epoch_size"), [("float32", "1e38", "1")] + [
    pytest.param(precision, rate, size, marks=pytest.mark.torture)
    for precision in PRECISIONS for rate in RATES for size in ("1", "7")])
def test_steps_that_are_too_large(precision, rate, epoch_size, zygote, ledger, tmp_path):
    """A run that blows up says so, and leaves nothing behind that is not finite, at whatever step it is written."""
    child = training_runs.start(
        zygote, ROW, tmp_path, "--precision", precision, "--learning_rate", rate, "--optimizer", "MOM",
        "--moving_average_decay", "0", "--center_loss_factor", "1e4", "--epoch_size", epoch_size,
        "--checkpoint_every_n_steps", "1", epochs=5)
    status, output = child.wait(), child.text()
    finite_or_absent(only_run(tmp_path))
    assert status in (0, 2), output
    if status == 2:
        assert re.search(r"(the loss is (nan|-?inf)|not finite).*the last good checkpoint is", output), output
    ledger.count("steps that are too large", **{"stopped" if status else "went through": 1})


def test_one_image_again_and_again(zygote, tmp_path):
    """Each person has one image, repeated: cosines reach 1, where the gradient of an angle is infinite."""
    for person in range(3):
        (tmp_path / "faces" / str(person)).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "faces" / str(person) / f"{number}.png").write_bytes(encode(picture(24, 24, person)))
    child = zygote.start(SOFTMAX, ["--data_dir", str(tmp_path / "faces"), "--models_base_dir", str(tmp_path / "runs"),
                                   *COMMON[2:], "--head", "arcface", "--scale", "64", "--batch_size", "12",
                                   "--max_nrof_epochs", "3", "--keep_probability", "1"], output=tmp_path / "output")
    assert child.wait() == 0, child.text()
    found = list(losses(only_run(tmp_path)).values())
    assert np.isfinite(found).all()
    assert found[-1] < found[0]
    finite_or_absent(only_run(tmp_path))
