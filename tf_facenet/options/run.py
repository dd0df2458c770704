"""What a run is, and on which devices it runs."""

from dataclasses import dataclass

from tf_facenet.config import FREE, OF_PROCESS, option, precision
from tf_facenet.options.bounds import at_least, between


@dataclass(kw_only=True)
class RunOptions:
    """The run."""

    recipe: str = option("", "settings that go together: a name, such as casia_arcface, or a file of '--flag value' "
                         "lines; flags beside it win, --no_FLAG turns a switch off")
    models_base_dir: str = option("runs", "folder in which each run makes its own folder", resume=FREE, per_worker=True)
    logs_base_dir: str = option("", "folder for events and history, if not the run's own", resume=FREE, per_worker=True)
    resume: str = option("", "run folder to go on with, as if it had never stopped", resume=OF_PROCESS, per_worker=True)
    seed: int = option(666, "seed of everything random")
    max_nrof_epochs: int = option(500, "number of epochs", resume=FREE)
    epoch_size: int = option(1000, "batches per epoch; 0 = as many as the data holds")
    log_every_n_steps: int = option(10, "steps between log lines", resume=FREE)
    log_histograms: bool = option(False, "histograms of weights in TensorBoard, each epoch", resume=FREE)
    prelogits_hist_max: float = option(10.0, "upper edge of the histogram of the features", resume=FREE)
    checkpoint_every_n_steps: int = option(0, "checkpoint also inside an epoch; 0 = at its end", resume=FREE)
    keep_checkpoints: int = option(3, "number of checkpoints kept", resume=FREE)
    export: str = option("", "formats to export to at the end, comma separated: saved_model, onnx, tflite", resume=FREE)
    data_licence: str = option("", "licence of the training data, stored with the model", resume=FREE)
    quiet: bool = option(False, "no progress bar, no log lines", resume=FREE, per_worker=True)

    def check(self):
        """Raise ValueError for values that cannot work."""
        at_least(self, 1, "max_nrof_epochs", "log_every_n_steps", "keep_checkpoints")
        at_least(self, 0, "epoch_size", "checkpoint_every_n_steps", "seed")


@dataclass(kw_only=True)
class DeviceOptions:
    """Devices and precision."""

    strategy: str = option("auto", "tf.distribute strategy; auto = multiworker if --workers or TF_CONFIG name several "
                           "processes, else mirrored if there are several GPUs",
                           choices=("auto", "none", "mirrored", "multiworker"), resume=FREE)
    workers: str = option("", "processes that train together, host:port,host:port, the same for all; without, "
                          "TF_CONFIG counts, and with multiworker SLURM's variables",
                          resume=OF_PROCESS, per_worker=True)
    worker_index: int = option(None, "which of them this process is, from 0", type=int,
                               resume=OF_PROCESS, per_worker=True)
    num_devices: int = option(0, "devices of this process; 0 = all GPUs. Without GPUs, that many logical CPUs",
                              resume=FREE)
    precision: str = option("float32", "what the backbone computes in; float16 with a scale of the loss",
                            choices=("float32", "bfloat16", "float16"), type=precision)
    jit: str = option("auto", "compile with XLA; auto = on a GPU on which XLA works", choices=("auto", "on", "off"),
                      resume=FREE)
    steps_per_execution: int = option(1, "steps that TensorFlow does without coming back to Python", resume=FREE)
    deterministic: bool = option(False, "on a GPU: slower kernels that give the same numbers each time, so that a "
                                 "resumed run equals one that never stopped; on a CPU it does anyway")
    gpu_memory_fraction: float = option(1.0, "share of each GPU's memory to use at most", resume=FREE, per_worker=True)
    sync_batchnorm: bool = option(True, "batch normalisation sees the batch of all devices; with --no_sync_batchnorm "
                                  "each its own part, as in insightface, and the first one's statistics are saved")
    remat: bool = option(False, "less memory, a third more time: residual blocks are computed again for the gradient",
                         resume=FREE)
    accumulate: int = option(1, "micro-batches that a batch is split into on each device", old="accumulation_steps")

    def check(self):
        """Raise ValueError for values that cannot work."""
        if bool(self.workers) != (self.worker_index is not None):
            raise ValueError("--workers and --worker_index belong together: the same list for all processes, and for "
                             "each its place in it")
        if self.workers and self.strategy in ("none", "mirrored"):
            raise ValueError(f"--workers need --strategy multiworker or auto, not {self.strategy}")
        if self.num_devices > 1 and self.strategy == "none":
            raise ValueError(f"--num_devices is {self.num_devices}, and --strategy none has one; expected --strategy "
                             "mirrored or auto")
        at_least(self, 0, "num_devices")
        at_least(self, 1, "accumulate", "steps_per_execution")
        between(self, 0.01, 1.0, "gpu_memory_fraction")
