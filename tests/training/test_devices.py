"""Which GPUs a process takes, how much of their memory, and what is said of those that cannot be used.

No GPU is needed: TensorFlow's list of devices is replaced.
"""

import collections
import os
import subprocess
import types

import pytest
import tensorflow as tf

from tf_facenet import logs
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import devices, distribution
from tf_facenet.training.cluster import Cluster

GPU = collections.namedtuple("GPU", "name")
GPUS = [GPU(f"/physical_device:GPU:{index}") for index in range(4)]
ON_ONE_MACHINE = tuple(f"localhost:{port}" for port in range(2222, 2226))


class Machine:
    """TensorFlow's configuration of a machine with some GPUs; keeps what is set."""

    def __init__(self, monkeypatch, gpus, capability=(9, 0)):
        self.gpus, self.limits = gpus, {}
        details = {"device_name": "H100", "compute_capability": capability}
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: self.gpus if kind == "GPU" else [])
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: self.gpus)
        monkeypatch.setattr(tf.config, "set_visible_devices", self._show)
        monkeypatch.setattr(tf.config, "set_logical_device_configuration", self._limit)
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)

    def _show(self, gpus, kind):
        self.gpus = gpus

    def _limit(self, gpu, configurations):
        self.limits[gpu] = configurations[0].memory_limit


@pytest.mark.parametrize(("count", "strategy", "rank", "processes", "expected"), [
    (0, "auto", 0, 1, GPUS),
    (2, "auto", 0, 1, GPUS[:2]),
    (1, "auto", 0, 1, GPUS[:1]),
    (0, "none", 0, 1, GPUS[:1]),
    (0, "auto", 1, 4, GPUS[1:2]),  # four workers on this machine: each one of its own
    (0, "auto", 1, 2, GPUS[2:]),
    (1, "auto", 3, 4, GPUS[3:]),
    (4, "auto", 1, 2, GPUS)])  # the launcher shows each of two workers four of its own
def test_each_process_takes_its_own(count, strategy, rank, processes, expected):
    assert devices.choose(GPUS, count, strategy, rank, processes) == expected


def test_workers_that_see_one_gpu_each_take_it():
    """As srun --gpus-per-task=1 shows them."""
    assert devices.choose(GPUS[:1], 0, "auto", rank=3, processes=4) == GPUS[:1]


def test_too_few_for_all_workers():
    with pytest.raises(ValueError, match="2 workers on this machine with --num_devices 3 need 6 GPUs, and it has 4"):
        devices.choose(GPUS, 3, "auto", rank=0, processes=2)


@pytest.mark.parametrize(("addresses", "index", "expected"), [
    (ON_ONE_MACHINE, 2, (2, 4)),
    (("a:1", "a:2", "b:1", "b:2"), 3, (1, 2)),
    (("a:1", "b:1"), 1, (0, 1)),
    (("[::1]:1", "[::1]:2"), 1, (1, 2))], ids=str)
def test_local_rank(addresses, index, expected):
    assert devices.local_rank(Cluster(addresses, index)) == expected


def test_the_gpus_of_others_are_hidden(monkeypatch):
    """TensorFlow opens every GPU that it sees, and an open GPU loses some hundred megabytes to it."""
    machine = Machine(monkeypatch, GPUS)
    devices.take(SoftmaxOptions(num_devices=1), Cluster(ON_ONE_MACHINE, 2))
    assert machine.gpus == [GPUS[2]]
    assert machine.limits == {}


@pytest.mark.parametrize(("visible", "asked"), [("", None), ("3,1", "--id=1"), ("GPU-a7, GPU-b9", "--id=GPU-b9")])
def test_memory_is_that_of_the_device_itself(monkeypatch, visible, asked):
    """TensorFlow's second GPU is the second that CUDA_VISIBLE_DEVICES names, not the second of the machine."""
    machine, commands = Machine(monkeypatch, GPUS), []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    def answer(command, **options):
        commands.append(command)
        return types.SimpleNamespace(stdout="80000\n" if asked else "80000\n24000\n")

    monkeypatch.setattr(subprocess, "run", answer)
    devices.limit_memory(GPUS[1:2], 0.5)
    assert machine.limits == {GPUS[1]: 40000 if asked else 12000}
    assert (asked or "--query-gpu=memory.total") in commands[0]


def test_memory_grows_on_demand_in_every_command(monkeypatch):
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    logs.import_tensorflow()
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


@pytest.mark.parametrize("failure", [
    FileNotFoundError("nvidia-smi"), subprocess.CalledProcessError(9, "nvidia-smi", stderr="No devices were found"),
    ValueError("[N/A]")], ids=["absent", "MIG", "not available"])
def test_without_nvidia_smi_there_is_no_limit(monkeypatch, caplog, failure):
    machine = Machine(monkeypatch, GPUS)

    def fail(*command, **options):
        raise failure

    monkeypatch.setattr(subprocess, "run", fail)
    devices.limit_memory(GPUS, 0.5)
    assert machine.limits == {}
    assert "nvidia-smi does not tell the memory of the GPUs" in caplog.text


@pytest.mark.parametrize(("jit", "capability", "expected", "said"), [
    ("auto", (9, 0), True, ""),
    ("auto", (12, 0), False, "--jit auto leaves it off"),
    ("on", (12, 1), True, "on takes the risk"),
    ("off", (12, 0), False, "")])
def test_xla_is_left_off_where_it_aborts(monkeypatch, caplog, jit, capability, expected, said):
    """XLA of TensorFlow 2.21 aborts on compute capability 12 (RTX 50xx), tensorflow issue 111958."""
    Machine(monkeypatch, GPUS[:1], capability)
    assert distribution.jit(SoftmaxOptions(jit=jit), types.SimpleNamespace(num_replicas_in_sync=1)) is expected
    assert said in caplog.text
    assert bool(said) == ("XLA of TensorFlow" in caplog.text)


@pytest.mark.parametrize(("gpus", "visible", "driver", "warned"), [
    ([], None, True, True), ([], "-1", True, False), ([], "", True, False), ([], None, False, False),
    (GPUS, None, True, False)])
def test_a_gpu_that_tensorflow_cannot_open_is_mentioned(monkeypatch, caplog, tmp_path, gpus, visible, driver, warned):
    monkeypatch.setattr(devices, "NVIDIA_DEVICES", str(tmp_path / "nvidia[0-9]*"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if driver:
        (tmp_path / "nvidia0").touch()
    devices.warn_of_unused(gpus)
    assert ("pip install 'tf_facenet[gpu]'" in caplog.text) == warned


def test_what_computes_is_one_line(monkeypatch):
    Machine(monkeypatch, GPUS[:2])
    strategy = types.SimpleNamespace(num_replicas_in_sync=2)
    assert distribution.describe(SoftmaxOptions(precision="bfloat16"), strategy, jit=False) == (
        "H100 (9.0), H100 (9.0); replicas 2 (simplenamespace), precision bfloat16, XLA off")
    assert distribution.describe(SoftmaxOptions(), tf.distribute.get_strategy(), jit=False) == (
        "H100 (9.0), H100 (9.0); replicas 1 (default), precision float32, XLA off")
