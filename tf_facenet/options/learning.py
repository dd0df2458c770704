"""How the network learns: optimizer, losses, heads, triplets."""

import math
from dataclasses import dataclass, fields

from tf_facenet.config import FREE, option, scale
from tf_facenet.options.bounds import at_least, between


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

    constant_batch_norm_momentum: bool = option(False, "batch normalisation keeps its momentum from the first step on, "
                                                "as in facenet, instead of growing towards it")

    def check(self):
        """Raise ValueError for values that cannot work."""
        at_least(self, 1, "learning_rate_decay_epochs")
        at_least(self, 0, "warmup_epochs", "clip_norm", "learning_rate_decay_factor")
        between(self, -math.inf, 1e38, "learning_rate")
        between(self, 0.0, 1.0, "moving_average_decay")


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
        at_least(self, 0, "weight_decay", "center_loss_factor", "prelogits_norm_loss_factor")
        between(self, 0.0, 1.0, "center_loss_alfa")
        between(self, 0.1, 10.0, "prelogits_norm_p")  # beyond, powers leave float32


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
                                 "people and more", resume=FREE)
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
        if self.shard_classes and self.head == "softmax" and not self.resume:  # that run has a head of its own
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

    batch_size: int = option(None, "images per batch over all devices: P x K; offline: those of its triplets (default "
                             "90)", type=int)
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
        at_least(self, 2, "people_per_batch", "images_per_person")
        at_least(self, 0, "softmax_loss_factor", "weight_decay")
        if not self.alpha > 0:
            raise ValueError(f"--alpha is {self.alpha}; expected above 0, such as 0.2")
        if self.mining == "offline":
            self._check_offline()
        else:
            self._check_online()

    def _check_offline(self):
        self.batch_size = 90 if self.batch_size is None else self.batch_size - self.batch_size % 3  # whole triplets
        at_least(self, 3, "batch_size")
        if self.triplet_distance != "squared-L2":
            raise ValueError(f"--triplet_distance is {self.triplet_distance}, and --mining offline selects by "
                             "squared-L2; leave it out, or choose --mining semi_hard, hard or all")

    def _check_online(self):
        size = self.people_per_batch * self.images_per_person
        if self.batch_size not in (None, size):
            raise ValueError(f"--batch_size is {self.batch_size}, and --people_per_batch {self.people_per_batch} x "
                             f"--images_per_person {self.images_per_person} are {size}; leave it out, or choose "
                             "facenet's rounds, --mining offline")
        if self.accumulate > 1:
            raise ValueError(f"--accumulate {self.accumulate} would look for triplets in a part of the batch only; "
                             "expected 1. --remat saves memory, too")
        self.batch_size = size
