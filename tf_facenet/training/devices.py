"""GPUs: which of them a process takes, how much of their memory, and what TensorFlow cannot do on some."""

import glob
import logging
import os
import subprocess

import tensorflow as tf

logger = logging.getLogger(__name__)

INSTALL = "pip install 'tf_facenet[gpu]'"
# From this compute capability on (RTX 50xx) XLA of TensorFlow 2.21, the newest wheel, aborts the process
# (github.com/tensorflow/tensorflow issue 111958).
XLA_ABORTS_FROM = (12, 0)
NVIDIA_DEVICES = "/dev/nvidia[0-9]*"  # what NVIDIA's driver makes, one a GPU


def take(options, cluster=None):
    """Choose this process's GPUs, hide the others from it, and set how much of their memory it may use.

    Must run before TensorFlow touches a device.

    Args:
        options: `options.DeviceOptions`.
        cluster: `cluster.Cluster`, or None if this process trains alone.

    Returns:
        The chosen GPUs as TensorFlow lists physical devices; none on a machine without.

    Raises:
        ValueError: there are fewer than asked for.
    """
    gpus = tf.config.list_physical_devices("GPU")
    chosen = choose(gpus, options.num_devices, options.strategy, *local_rank(cluster))
    if len(chosen) < len(gpus):  # TensorFlow would open, and by default fill, all that it sees
        tf.config.set_visible_devices(chosen, "GPU")
    limit_memory(chosen, options.gpu_memory_fraction)
    return chosen


def local_rank(cluster):
    """Place of this process among those of its machine, and how many they are: ``(0, 1)`` if it is alone there."""
    if cluster is None:
        return 0, 1
    hosts = [address.rpartition(":")[0] for address in cluster.addresses]
    own = hosts[cluster.index]
    return hosts[:cluster.index].count(own), hosts.count(own)


def choose(gpus, count, strategy, rank=0, processes=1):
    """The GPUs of one of several processes on a machine.

    Process k of n takes the k-th part of them. A launcher such as ``srun --gpus-per-task`` shows each process its own
    alone: then all that are seen are taken.

    Args:
        gpus: all that this process sees.
        count: how many it takes; 0 = all of its part, or one with strategy "none".
        strategy: ``--strategy``.
        rank: place of the process among those of the machine.
        processes: how many they are.

    Raises:
        ValueError: there are fewer.
    """
    if not gpus:
        return []
    count = count or (1 if strategy == "none" else max(len(gpus) // processes, 1))
    if count > len(gpus):
        raise ValueError(f"--num_devices is {count}, but this machine has {len(gpus)} GPUs")
    if count * processes <= len(gpus):
        return gpus[rank * count:(rank + 1) * count]
    if count == len(gpus):
        return gpus
    raise ValueError(f"{processes} workers on this machine with --num_devices {count} need {processes * count} GPUs, "
                     f"and it has {len(gpus)}; start fewer workers, or lower --num_devices")


def limit_memory(gpus, fraction):
    """Let the process use at most a share of each GPU's memory; 1 = as much as it needs, see `logs.import_tensorflow`.

    Must run before TensorFlow touches a device. Where nobody tells the size of the memory there is no limit.
    """
    sizes = _megabytes(gpus) if gpus and fraction < 1.0 else []
    for gpu, megabytes in zip(gpus, sizes, strict=False):
        tf.config.set_logical_device_configuration(
            gpu, [tf.config.LogicalDeviceConfiguration(int(megabytes * fraction))])


def _megabytes(gpus):
    """Memory of each GPU in MB; none, with a warning, if nvidia-smi does not tell."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    try:
        return [_ask_size(names, gpu) for gpu in gpus]
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        reason = " ".join((getattr(error, "stderr", "") or str(error)).split())
        logger.warning("--gpu_memory_fraction: nvidia-smi does not tell the memory of the GPUs (%.200s); there is no "
                       "limit, it grows on demand", reason)
        return []


def _ask_size(names, gpu):
    """Memory in MB of a GPU as TensorFlow counts them: those that CUDA_VISIBLE_DEVICES names, in that order."""
    which = [f"--id={names[_number(gpu)].strip()}"] if any(names) else []
    command = ["nvidia-smi", *which, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return min(map(int, answer))  # of all, if CUDA may count them in another order than nvidia-smi


def _number(gpu):
    return int(gpu.name.rpartition(":")[2])


def can_jit(gpus):
    """Whether XLA is known to work on these GPUs; it aborts the process on some, see `XLA_ABORTS_FROM`."""
    return all(capability(gpu) < XLA_ABORTS_FROM for gpu in gpus)


def capability(gpu):
    """Compute capability of a GPU as (major, minor); (0, 0) if TensorFlow does not know it."""
    return tf.config.experimental.get_device_details(gpu).get("compute_capability") or (0, 0)


def describe(gpus):
    """One line for the log: the GPUs by name and compute capability, or that the processor computes."""
    if not gpus:
        return "CPU"
    details = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    return ", ".join(f"{name} ({'.'.join(map(str, capability(gpu)))})"
                     for name, gpu in zip(details, gpus, strict=True))


def warn_of_unused(gpus):
    """Warn if the machine has an NVIDIA GPU that TensorFlow cannot open; unless CUDA_VISIBLE_DEVICES hides it."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if not (gpus or hidden) and glob.glob(NVIDIA_DEVICES):
        logger.warning("This machine has an NVIDIA GPU, and TensorFlow cannot open it: training runs on the CPU. "
                       "Install CUDA's libraries: %s, or update the driver", INSTALL)
