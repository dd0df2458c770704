"""Devices: tf.distribute strategy, GPU memory, dtype policy."""

import subprocess

import keras
import tensorflow as tf

from tf_facenet.training.fused import fuse_batch_norms


def strategy(options):
    """Set up the devices that the options describe.

    Must run before TensorFlow touches a device.

    Args:
        options: `options.SoftmaxOptions`.

    Returns:
        A tf.distribute strategy; the default one if a single device is enough.

    Raises:
        ValueError: there are fewer devices, or the batch cannot be split over them.
    """
    keras.config.set_dtype_policy(options.precision)
    gpus = tf.config.list_physical_devices("GPU")
    limit_memory(gpus, options.gpu_memory_fraction)
    wanted = options.num_devices or len(gpus)
    if options.strategy == "none" or (options.strategy == "auto" and wanted < 2):
        _check_batch_size(options, num_replicas=1)
        return tf.distribute.get_strategy()
    if gpus and wanted > len(gpus):
        raise ValueError(f"--num_devices is {wanted}, but this machine has {len(gpus)} GPUs")
    count = max(wanted, 1)
    _check_batch_size(options, count)
    kind = "GPU" if gpus else _logical_cpus(count)
    return tf.distribute.MirroredStrategy([f"{kind}:{index}" for index in range(count)])


def prepare(trainer, strategy, batch_size):
    """Let batch normalisation use TensorFlow's own kernel, and statistics those of all replicas.

    Raises:
        ValueError: the head cannot take batches of that size.
    """
    trainer.head.check_batch(batch_size)
    fuse_batch_norms(trainer.backbone)
    if strategy.num_replicas_in_sync > 1:
        for layer in trainer.backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
        trainer.all_rows = all_rows
        trainer.head.synchronize(strategy.num_replicas_in_sync)


def all_rows(rows):
    """Rows [R·B, …] of all R replicas, in their order; the gradient comes back to each its own."""
    gathered = _gathered(rows) if rows.dtype.is_floating else _context().all_gather(rows, axis=0)
    return tf.reshape(gathered, [_context().num_replicas_in_sync * rows.shape[0], *rows.shape[1:]])


@tf.custom_gradient
def _gathered(rows):
    def gradient(upstream):
        total = _context().all_reduce(tf.distribute.ReduceOp.SUM, upstream)
        return tf.reshape(total, [-1, *rows.shape])[_context().replica_id_in_sync_group]

    return _context().all_gather(rows, axis=0), gradient


def _context():
    return tf.distribute.get_replica_context()


def _check_batch_size(options, num_replicas):
    parts = num_replicas * options.accumulation_steps
    if options.batch_size % parts:
        raise ValueError(
            f"--batch_size is {options.batch_size}; expected a multiple of {parts} "
            f"({num_replicas} devices x {options.accumulation_steps} micro-batches)")


def _logical_cpus(count):
    """Split the CPU into devices, so that several replicas can be tried without GPUs."""
    device = tf.config.list_physical_devices("CPU")[0]
    configured = tf.config.get_logical_device_configuration(device) or ()
    if len(configured) < count:
        tf.config.set_logical_device_configuration(
            device, [tf.config.LogicalDeviceConfiguration()] * count)
    return "CPU"


def limit_memory(gpus, fraction):
    """Let the process use a share of each GPU's memory. Must run before TensorFlow touches a device."""
    if not gpus or fraction == 1.0:
        return
    sizes = subprocess.run(
        ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"],
        capture_output=True, text=True, check=True).stdout.split()
    for gpu, megabytes in zip(gpus, sizes, strict=False):
        tf.config.set_logical_device_configuration(
            gpu, [tf.config.LogicalDeviceConfiguration(int(megabytes) * fraction)])
