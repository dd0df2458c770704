"""The tf.distribute strategy, dtype policy and compilation that the options ask for."""

import logging
import os

import keras
import tensorflow as tf

from tf_facenet import logs
from tf_facenet.kernels import fuse
from tf_facenet.training import agreement, cluster, devices, rendezvous
from tf_facenet.training.precision import POLICIES
from tf_facenet.training.recompute import recompute_blocks
from tf_facenet.training.workers import Workers, placed

logger = logging.getLogger(__name__)


def strategy(options):
    """Set up the devices that the options describe.

    Must run before TensorFlow touches a device. Of several workers it returns when all of them are there, and lets
    only the chief talk.

    Args:
        options: `options.SoftmaxOptions`.

    Returns:
        A tf.distribute strategy; the default one if a single device is enough.

    Raises:
        ValueError: there are fewer devices, or the batch cannot be split over them, or workers have other options.
        OSError: a worker does not come, or its port is in use.
    """
    keras.config.set_dtype_policy(POLICIES[options.precision])
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    found = cluster.find(options)
    gpus = devices.take(options, found)
    made = _multi_worker(found, gpus, options) if found else _one_process(gpus, options)
    devices.warn_of_unused(gpus)
    return made


def _one_process(gpus, options):
    wanted = options.num_devices or len(gpus)
    if options.strategy == "none" or (options.strategy != "mirrored" and wanted < 2):
        _check_batch_size(options, num_replicas=1)
        return tf.distribute.get_strategy()
    count = max(wanted, 1)
    _check_batch_size(options, count)
    kind = "GPU" if gpus else _logical_cpus(count)
    return tf.distribute.MirroredStrategy([f"{kind}:{index}" for index in range(count)])


def _multi_worker(found, gpus, options):
    """MultiWorkerMirroredStrategy, once all workers have met."""
    count = len(gpus) or 1
    if options.num_devices > count:
        raise ValueError(f"--num_devices is {options.num_devices}; a worker without GPUs is one device: start more "
                         "workers")
    if getattr(options, "mining", "") == "offline":
        raise ValueError("--mining offline works in one process only: its rounds are embedded there; take --strategy "
                         "mirrored, or --mining semi_hard, which looks at the whole batch of all workers")
    _check_batch_size(options, len(found.addresses) * count)
    rendezvous.meet(found, agreement.shared_options(options, num_devices=count))
    if not found.is_chief:
        options.quiet = True
        logs.to_stdout(quiet=True)
    os.environ.pop("TF_CONFIG", None)  # TensorFlow would read it too
    return tf.distribute.MultiWorkerMirroredStrategy(tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(found.addresses)}), task_type="worker", task_id=found.index,
        rpc_layer="grpc"))


def describe(options, strategy, jit):
    """What computes, in one line for the log."""
    kind = type(strategy).__name__.strip("_").partition("Strategy")[0].removesuffix("Distribution")
    return (f"{devices.describe(tf.config.get_visible_devices('GPU'))}; replicas {strategy.num_replicas_in_sync} "
            f"({kind.lower()}), precision {options.precision}, XLA {'on' if jit else 'off'}")


def agree(strategy, faces):
    """The `workers.Workers`, once all of them have read the same faces.

    Raises:
        ValueError: a worker has others than the chief.
    """
    workers = Workers(strategy)
    agreement.check_workers(workers, agreement.facts(faces))
    return workers


def jit(options, strategy):
    """Whether XLA compiles the steps.

    Raises:
        ValueError: it is asked for, but there are several replicas.
    """
    if strategy.num_replicas_in_sync > 1:
        if options.jit == "on":
            raise ValueError(f"--jit on works on one device, and here are {strategy.num_replicas_in_sync}; take --jit "
                             "off, or --strategy none")
        return False
    gpus = tf.config.get_visible_devices("GPU")
    if options.jit == "off" or (options.jit == "auto" and not gpus):
        return False
    if devices.can_jit(gpus):
        return True
    logger.warning("XLA of TensorFlow %s aborts on %s: --jit auto leaves it off%s", tf.__version__,
                   devices.describe(gpus), ", on takes the risk" if options.jit == "on" else "")
    return options.jit == "on"


def prepare(trainer, strategy, batch_size, remat=False, sync_batchnorm=True):
    """Let layers use TensorFlow's own kernels, and statistics be those of all replicas.

    Raises:
        ValueError: the head cannot take batches of that size.
    """
    trainer.head.check_batch(batch_size)
    fuse(trainer.backbone)
    if remat:
        recompute_blocks(trainer.backbone)
    if strategy.num_replicas_in_sync > 1:
        for layer in trainer.backbone._flatten_layers():  # those of nested models too
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = sync_batchnorm
        trainer.all_rows = all_rows
        trainer.head.synchronize(strategy.num_replicas_in_sync)


def all_rows(rows):
    """Rows [R·B, …] of all R replicas, in their order; the gradient comes back to each its own."""
    gathered = _gathered(rows) if rows.dtype.is_floating else _context().all_gather(placed(rows), axis=0)
    return tf.reshape(gathered, [_context().num_replicas_in_sync * rows.shape[0], *rows.shape[1:]])


@tf.custom_gradient
def _gathered(rows):
    def gradient(upstream):
        total = _context().all_reduce(tf.distribute.ReduceOp.SUM, placed(upstream))
        return tf.reshape(total, [-1, *rows.shape])[_context().replica_id_in_sync_group]

    return _context().all_gather(placed(rows), axis=0), gradient


def _context():
    return tf.distribute.get_replica_context()


def _check_batch_size(options, num_replicas):
    of_triplets = getattr(options, "mining", "") == "offline"
    parts = num_replicas * options.accumulate * (3 if of_triplets else 1)
    if options.batch_size % parts:
        raise ValueError(
            f"--batch_size is {options.batch_size}; expected a multiple of {parts} "
            f"({num_replicas} devices x {options.accumulate} micro-batches{' of triplets' * of_triplets})")


def _logical_cpus(count):
    """Split the CPU into devices, so that several replicas can be tried without GPUs."""
    device = tf.config.list_physical_devices("CPU")[0]
    configured = tf.config.get_logical_device_configuration(device) or ()
    if len(configured) < count:
        tf.config.set_logical_device_configuration(
            device, [tf.config.LogicalDeviceConfiguration()] * count)
    return "CPU"
