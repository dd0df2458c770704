"""The options of the scripts, in groups; names and defaults are facenet's where it had them."""

from dataclasses import dataclass, fields

from tf_facenet.config import image_size, option, paths, place, positional, precision, scale, settings

# Options that may change when a run is resumed, since they do not change what is learned.
FREE_ON_RESUME = frozenset((
    "max_nrof_epochs", "log_every_n_steps", "log_histograms", "checkpoint_every_n_steps",
    "keep_checkpoints", "export", "data_licence", "quiet", "nrof_preprocess_threads",
    "gpu_memory_fraction", "validate_every_n_epochs", "validate_every_n_steps", "lfw_dir",
    "lfw_pairs", "lfw_every_n_epochs", "lfw_batch_size", "lfw_nrof_folds", "lfw_distance_metric",
    "lfw_use_flipped_images", "lfw_flip", "lfw_subtract_mean", "val_targets", "strategy", "num_devices", "jit", "remat",
    "steps_per_execution", "shard_classes"))
# Options that say what a process is, not what its run is: never taken from the run that is resumed.
OF_PROCESS = frozenset(("resume", "workers", "worker_index"))


def _at_least(options, minimum, *names):
    for name in names:
        value = getattr(options, name)
        if value < minimum:
            raise ValueError(f"--{name} is {value}; expected at least {minimum}")


def _between(options, low, high, *names):
    for name in names:
        value = getattr(options, name)
        if not low <= value <= high:
            raise ValueError(f"--{name} is {value}; expected {low} to {high}")


@dataclass(kw_only=True)
class RunOptions:
    """The run."""

    recipe: str = option("", "settings that go together: a name, such as casia_arcface, or a file of '--flag value' "
                         "lines; flags beside it win, --no_FLAG turns a switch off")
    models_base_dir: str = option("runs", "folder in which each run makes its own folder")
    logs_base_dir: str = option("", "folder for events and history, if not the run's own")
    resume: str = option("", "run folder to go on with, as if it had never stopped")
    seed: int = option(666, "seed of everything random")
    max_nrof_epochs: int = option(500, "number of epochs")
    epoch_size: int = option(1000, "batches per epoch; 0 = as many as the data holds")
    log_every_n_steps: int = option(10, "steps between log lines")
    log_histograms: bool = option(False, "histograms of weights in TensorBoard, each epoch")
    prelogits_hist_max: float = option(10.0, "upper edge of the histogram of the features")
    checkpoint_every_n_steps: int = option(0, "checkpoint also inside an epoch; 0 = at its end")
    keep_checkpoints: int = option(3, "number of checkpoints kept")
    export: str = option("", "formats to export to at the end, comma separated: saved_model, onnx, tflite")
    data_licence: str = option("", "licence of the training data, stored with the model")
    quiet: bool = option(False, "no progress bar, no log lines")

    def check(self):
        """Raise ValueError for values that cannot work."""
        _at_least(self, 1, "max_nrof_epochs", "log_every_n_steps", "keep_checkpoints")
        _at_least(self, 0, "epoch_size", "checkpoint_every_n_steps", "seed")


@dataclass(kw_only=True)
class DeviceOptions:
    """Devices and precision."""

    strategy: str = option("auto", "tf.distribute strategy; auto = multiworker if --workers or TF_CONFIG name several "
                           "processes, else mirrored if there are several GPUs",
                           choices=("auto", "none", "mirrored", "multiworker"))
    workers: str = option("", "processes that train together, host:port,host:port, the same for all; without, "
                          "TF_CONFIG counts, and with multiworker SLURM's variables")
    worker_index: int = option(None, "which of them this process is, from 0", type=int)
    num_devices: int = option(0, "devices of this process; 0 = all GPUs. Without GPUs, that many logical CPUs")
    precision: str = option("float32", "what the backbone computes in; float16 with a scale of the loss",
                            choices=("float32", "bfloat16", "float16"), type=precision)
    jit: str = option("auto", "compile with XLA; auto = on a GPU", choices=("auto", "on", "off"))
    steps_per_execution: int = option(1, "steps that TensorFlow does without coming back to Python")
    gpu_memory_fraction: float = option(1.0, "share of each GPU's memory to use")
    remat: bool = option(False, "less memory, a third more time: residual blocks are computed again for the gradient")
    accumulate: int = option(1, "micro-batches that a batch is split into on each device", old="accumulation_steps")

    def check(self):
        """Raise ValueError for values that cannot work."""
        if bool(self.workers) != (self.worker_index is not None):
            raise ValueError("--workers and --worker_index belong together: the same list for all processes, and for "
                             "each its place in it")
        if self.workers and self.strategy in ("none", "mirrored"):
            raise ValueError(f"--workers need --strategy multiworker or auto, not {self.strategy}")
        _at_least(self, 0, "num_devices")
        _at_least(self, 1, "accumulate", "steps_per_execution")
        _between(self, 0.01, 1.0, "gpu_memory_fraction")


@dataclass(kw_only=True)
class DataOptions:
    """Training data."""

    data_dir: paths = option("drawn", "folder with one sub-folder per person, or a .rec file or the folder of "
                             "train.rec, or faces drawn by the package: drawn[:people=200,images=20,size=112,seed=0,"
                             "first=0]; several, by the flag again or with colons between, are joined", type=paths)
    people_file: str = option("", "train only on the people named in this file, one a line")
    exclude_people: str = option("", "do not train on the people named in this file, such as LFW's pairs.txt or "
                                 "people.txt; case, accents and underscores do not matter")
    batch_size: int = option(90, "images per batch over all devices")
    image_size: image_size = option(160, "side in pixels, or HEIGHTxWIDTH", type=image_size)
    crop: place = option((0.5, 0.5), "where larger images, LFW's too, are cropped: center, left, right, top, bottom, "
                         "or DOWN,ACROSS, shares from 0 to 1", type=place)
    random_crop: bool = option(False, "random crop instead of that")
    random_flip: bool = option(False, "random horizontal flip")
    random_rotate: bool = option(False, "random rotation within ±10°")
    random_affine: bool = option(False, "random rotation within ±10°, scale within ±10 %% and shift within ±5 %% after "
                                 "the crop, without black corners")
    random_resize: float = option(0.0, "share of images that are shrunk, to a quarter at least, and enlarged again")
    random_blur: float = option(0.0, "share of images that are blurred by a Gaussian")
    jitter: float = option(0.0, "random factors 1 ± X of brightness, contrast and saturation; 0.2 is usual")
    random_gray: float = option(0.0, "share of images that lose their colour")
    random_erase: float = option(0.0, "share of images of which a rectangle is hidden")
    random_jpeg: float = option(0.0, "share of images saved as JPEG of quality 30 to 90 and read again")
    nrof_preprocess_threads: int = option(4, "threads that decode; 0 = chosen by TensorFlow")
    strict_data: bool = option(False, "an unreadable image is an error instead of being skipped")
    exclude_file: str = option("", "CSV file whose first column names images not to train on, as tf-facenet clean "
                               "writes it")
    filter_filename: str = option("", "HDF5 file of distances to class centres")
    filter_percentile: float = option(100.0, "keep images nearer than this percentile")
    filter_min_nrof_images_per_class: int = option(0, "drop classes with fewer images")

    def check(self):
        """Raise ValueError for values that cannot work."""
        _at_least(self, 1, "batch_size")
        _at_least(self, 0, "nrof_preprocess_threads", "filter_min_nrof_images_per_class")
        _between(self, 0.0, 100.0, "filter_percentile")
        _between(self, 0.0, 1.0, "random_resize", "random_blur", "jitter", "random_gray", "random_erase", "random_jpeg")


@dataclass(kw_only=True)
class ModelOptions:
    """Network."""

    model_def: str = option("models.inception_resnet_v1", "backbone by name (inception_resnet_v1, "
                            "mobilenet_v1, mobilenet_v2, mobilenet_v3, small, swin_t ...), keras:NAME for a network of "
                            "keras.applications, such as keras:EfficientNetV2B0, or package.module:function")
    model_options: settings = option(None, "what the backbone takes besides, such as alpha=0.5 (mobilenet_v1), "
                                     "neck=flatten_bn (keras:...) or window=7,drop_path=0.1 (swin_t); several numbers "
                                     "in brackets: depths=(2,2,18,2)", type=settings)
    embedding_size: int = option(128, "width of the embedding")
    keep_probability: float = option(1.0, "share of units that dropout keeps")
    use_fixed_image_standardization: bool = option(False, "(x - 127.5) / 128 instead of zero mean "
                                                   "and unit variance per image")
    pretrained_model: str = option("", "run folder, .keras file or weights file to start from")
    freeze: str = option("", "layers that stay as loaded: comma-separated patterns, like Mixed_*")

    @property
    def standardization(self):
        """The name that backbones know."""
        return "fixed" if self.use_fixed_image_standardization else "per_image"

    @property
    def backbone_options(self):
        """Keywords of `backbones.create` besides the name and the sizes."""
        return {"standardization": self.standardization, "keep_probability": self.keep_probability,
                **(self.model_options or {})}

    def check(self):
        """Raise ValueError for values that cannot work."""
        for name in self.model_options or ():
            if name in ("image_size", "embedding_size", "standardization", "keep_probability"):
                raise ValueError(f"--model_options sets {name!r}, which has a flag of its own; see -h")
        _at_least(self, 1, "embedding_size")
        _between(self, 1e-3, 1.0, "keep_probability")


@dataclass(kw_only=True)
class OptimizerOptions:
    """Optimizer and learning rate."""

    optimizer: str = option("ADAGRAD", "optimizer",
                            choices=("ADAGRAD", "ADADELTA", "ADAM", "RMSPROP", "MOM"))
    tf1_optimizers: bool = option(False, "RMSPROP and MOM with the arithmetic of TensorFlow 1")
    learning_rate: float = option(0.1, "base rate; 0 or less = read the schedule file")
    learning_rate_schedule_file: str = option(
        "casia", "file of 'epoch: rate' lines, or one of: casia, msceleb, "
        "retrain_tripletloss, vggface2, arcface_casia")
    learning_rate_decay: str = option("exponential", "shape of the decay",
                                      choices=("exponential", "polynomial", "cosine"))
    learning_rate_decay_epochs: int = option(100, "epochs between steps of the exponential decay")
    learning_rate_decay_factor: float = option(1.0, "factor of the exponential decay")
    warmup_epochs: float = option(0.0, "epochs of linear warm-up")
    clip_norm: float = option(0.0, "largest norm of the whole gradient; 0 = no limit")
    moving_average_decay: float = option(0.9999, "decay of the averaged weights that are validated "
                                         "and saved; 0 = none")

    def check(self):
        """Raise ValueError for values that cannot work."""
        _at_least(self, 1, "learning_rate_decay_epochs")
        _at_least(self, 0, "warmup_epochs", "clip_norm", "learning_rate_decay_factor")
        _between(self, 0.0, 1.0, "moving_average_decay")


@dataclass(kw_only=True)
class LossOptions:
    """Losses beside cross-entropy."""

    weight_decay: float = option(0.0, "L2 factor w: w/2 times the squared kernels")
    center_loss_factor: float = option(0.0, "factor of the center loss")
    center_loss_alfa: float = option(0.95, "centres keep this share of themselves at each update")
    prelogits_norm_loss_factor: float = option(0.0, "factor of the norm of the features")
    prelogits_norm_p: float = option(1.0, "order of that norm")

    def check(self):
        """Raise ValueError for values that cannot work."""
        _at_least(self, 0, "weight_decay", "center_loss_factor", "prelogits_norm_loss_factor")
        _between(self, 0.0, 1.0, "center_loss_alfa")


@dataclass(kw_only=True)
class HeadOptions:
    """Head: what the network is trained with; options that a head does not take are refused."""

    head: str = option("softmax", "softmax, or cosines with a margin: sphereface, cosface, arcface, combined, "
                       "adaface, magface, curricularface")
    scale: scale = option(None, "scale s of the cosines, 64 if not given; auto = sqrt(2) ln(classes - 1)", type=scale)
    margin: float = option(None, "margin, by default the head's own: cosface 0.35, arcface and curricularface 0.5, "
                           "adaface 0.4, sphereface 1.35 (its m1)", type=float)
    m1: float = option(None, "combined: factor of the angle (default 1)", type=float)
    m2: float = option(None, "combined: added to the angle (default 0.5)", type=float)
    m3: float = option(None, "combined: subtracted from the cosine (default 0)", type=float)
    sub_centers: int = option(1, "centres of each class, of which the nearest counts")
    sample_rate: float = option(1.0, "share of the classes that a step sees (PartialFC)")
    shard_classes: bool = option(False, "spread the centres over the devices, each with its own classes: for 100,000 "
                                 "people and more")
    interclass_filtering_threshold: float = option(0.0, "wrong classes with a cosine above are taken for wrong "
                                                   "labels; 0 = off")
    interclass_filtering: str = option("zero", "what becomes of them: logit zero (insightface) or out of the softmax",
                                       choices=("zero", "exclude"))
    gradient: str = option("exact", "gradient of the margin; straight_through as insightface's ArcFace",
                           choices=("exact", "straight_through"))
    past_pi: str = option(None, "target where the widened angle passes 180 degrees: extend (default) falls on",
                          choices=("extend", "plain", "fallback"), type=str)
    easy_margin: bool = option(False, "no margin for targets at 90 degrees and more")
    margin_warmup_steps: int = option(0, "steps, with --accumulate micro-batches, in which the margin grows from 0")
    label_smoothing: float = option(0.0, "share of the label that all classes get alike in training; 0.1 is usual")
    annealing: bool = option(False, "sphereface: begin almost without margin, as its authors do")

    def check(self):
        """Raise ValueError for values that cannot work."""
        if self.shard_classes and self.head == "softmax":
            raise ValueError("--shard_classes spreads the centres of a head with cosines, and --head softmax has none; "
                             "expected --head arcface, cosface or another with a margin")

    @property
    def head_options(self):
        """Those options that differ from their defaults, and the seed of a sample, as `heads.create` takes them."""
        values = {field.name: (getattr(self, field.name), field.default)
                  for field in fields(HeadOptions) if field.name not in ("head", "shard_classes")}
        given = {name: value for name, (value, default) in values.items() if value != default}
        return {**given, "seed": self.seed} if "sample_rate" in given else given


@dataclass(kw_only=True)
class TripletLossOptions:
    """Triplets."""

    alpha: float = option(0.2, "margin, in units of the distance")
    people_per_batch: int = option(None, "people in a batch, P, whose size is P x K; offline: in a round (default 18, "
                                   "offline 45)", type=int)
    images_per_person: int = option(None, "images of each, K; people with fewer make room for more people (default 5, "
                                    "offline 40)", type=int)
    mining: str = option("semi_hard", "which triplets of a batch count; offline = facenet's rounds: sample people, "
                         "embed, select", choices=("semi_hard", "hard", "all", "offline"))
    mining_rule: str = option("vgg", "offline: negatives inside the margin (vgg, as facenet), or those of them that "
                              "are farther than the positive", choices=("vgg", "semi_hard"))
    triplet_distance: str = option("squared-L2", "distance of embeddings of length 1",
                                   choices=("squared-L2", "L2", "angular"))
    soft: bool = option(False, "log(1 + exp(x)) instead of a margin")
    softmax_loss_factor: float = option(0.0, "factor of the cross-entropy of a softmax layer beside the triplets")
    weight_decay: float = option(0.0, "L2 factor w: w/2 times the squared kernels")

    def check(self):
        """Raise ValueError for values that cannot work."""
        usual = (45, 40) if self.mining == "offline" else (18, 5)
        self.people_per_batch = usual[0] if self.people_per_batch is None else self.people_per_batch
        self.images_per_person = usual[1] if self.images_per_person is None else self.images_per_person
        _at_least(self, 2, "people_per_batch", "images_per_person")
        _at_least(self, 0, "softmax_loss_factor", "weight_decay")
        if not self.alpha > 0:
            raise ValueError(f"--alpha is {self.alpha}; expected above 0, such as 0.2")
        if self.mining == "offline":
            self.batch_size -= self.batch_size % 3  # whole triplets
            _at_least(self, 3, "batch_size")
        else:
            self.batch_size = self.people_per_batch * self.images_per_person


@dataclass(kw_only=True)
class ValidationOptions:
    """Validation on held-out images."""

    validate_every_n_epochs: int = option(5, "epochs between validations")
    validation_set_split_ratio: float = option(0.0, "share of each person's images held out")
    min_nrof_val_images_per_class: int = option(0, "drop classes with fewer training images")

    def check(self):
        """Raise ValueError for values that cannot work."""
        _at_least(self, 1, "validate_every_n_epochs")
        _at_least(self, 0, "min_nrof_val_images_per_class")
        _between(self, 0.0, 0.99, "validation_set_split_ratio")


@dataclass(kw_only=True)
class VerificationOptions:
    """Verification on LFW and on sets of the same form."""

    validate_every_n_steps: int = option(0, "steps between validations and LFW runs, instead of epochs")
    lfw_dir: str = option("", "folder of LFW-like faces, or a set such as lfw.bin, or drawn[:...]; empty = no LFW")
    val_targets: str = option("", "more sets, comma separated: .bin files, or names such as lfw,cfp_fp,agedb_30 of "
                              "those in or beside data_dir")
    lfw_pairs: str = option("pairs.txt", "file of the pairs, also looked for in and beside lfw_dir")
    lfw_every_n_epochs: int = option(1, "epochs between LFW runs")
    lfw_batch_size: int = option(100, "images per batch of validation and LFW")
    lfw_nrof_folds: int = option(10, "folds of the cross-validation")
    lfw_distance_metric: int = option(0, "0 = squared Euclidean, 1 = cosine", choices=(0, 1))
    lfw_use_flipped_images: bool = option(False, "concatenate the mirrored image's embedding")
    lfw_flip: str = option("", "the same by name; sum as insightface does",
                           choices=("", "none", "concat", "sum"))
    lfw_subtract_mean: bool = option(False, "subtract the mean embedding of the training folds")

    def check(self):
        """Raise ValueError for values that cannot work."""
        _at_least(self, 1, "lfw_every_n_epochs", "lfw_batch_size")
        _at_least(self, 0, "validate_every_n_steps")
        _at_least(self, 2, "lfw_nrof_folds")


class _Checked:
    def __post_init__(self):
        for group in type(self).__mro__:
            if "check" in group.__dict__:
                group.check(self)


@dataclass(kw_only=True)
class SoftmaxOptions(_Checked, VerificationOptions, ValidationOptions, LossOptions, HeadOptions, OptimizerOptions,
                     ModelOptions, DataOptions, DeviceOptions, RunOptions):
    """Train a face-embedding network as a classifier: softmax and center loss, or a margin head."""

    SCRIPT = "train_softmax.py"  # whose recipes these options read


@dataclass(kw_only=True)
class TripletOptions(_Checked, VerificationOptions, TripletLossOptions, OptimizerOptions,
                     ModelOptions, DataOptions, DeviceOptions, RunOptions):
    """Train a face-embedding network by triplets."""

    SCRIPT = "train_tripletloss.py"


@dataclass(kw_only=True)
class LfwOptions(_Checked):
    """Validate a model on Labeled Faces in the Wild or on pairs of the same form."""

    lfw_dir: str = positional("folder of aligned faces, or a set such as lfw.bin, or drawn[:people=...,first=...]")
    model: str = positional("run folder, .keras file or SavedModel folder")
    val_targets: str = option("", "more sets, comma separated: .bin files, or names such as cfp_fp,agedb_30 of those "
                              "in or beside lfw_dir")
    lfw_pairs: str = option("pairs.txt", "file of the pairs, also looked for in and beside lfw_dir")
    lfw_batch_size: int = option(100, "images per batch")
    lfw_nrof_folds: int = option(10, "folds of the cross-validation")
    image_size: image_size = option(None, "side in pixels or HEIGHTxWIDTH, if it shall be checked "
                                    "against the model's", type=image_size)
    crop: place = option((0.5, 0.5), "where larger images are cropped: center, left, right, top, bottom, or "
                         "DOWN,ACROSS, shares from 0 to 1; left for faces on the 112x96 template in wider images",
                         type=place)
    distance_metric: int = option(0, "0 = squared Euclidean, 1 = cosine", choices=(0, 1))
    use_flipped_images: bool = option(False, "concatenate the mirrored image's embedding")
    flip: str = option("", "the same by name; sum as insightface does",
                       choices=("", "none", "concat", "sum"))
    subtract_mean: bool = option(False, "subtract the mean embedding of the training folds")
    use_fixed_image_standardization: bool = option(False, "accepted for facenet's command lines: "
                                                   "the model standardises by itself")
    json: str = option("", "also write the result to this JSON file")
    plot: str = option("", "also draw PREFIX_roc.png, PREFIX_distances.png and PREFIX_pairs.png")
    report: str = option("", "also write this HTML page with curves and the worst mistakes as pictures")
    quiet: bool = option(False, "no progress bar")

    def check(self):
        """Raise ValueError for values that cannot work."""
        _at_least(self, 1, "lfw_batch_size")
        _at_least(self, 2, "lfw_nrof_folds")
