"""How what was learned is tried."""

from dataclasses import dataclass

from tf_facenet.config import FREE, option
from tf_facenet.options.bounds import at_least, between


@dataclass(kw_only=True)
class ValidationOptions:
    """Validation on held-out images."""

    validate_every_n_epochs: int = option(5, "epochs between validations", resume=FREE)
    validation_set_split_ratio: float = option(0.0, "share of each person's images held out")
    min_nrof_val_images_per_class: int = option(0, "drop classes with fewer training images")

    def check(self):
        """Raise ValueError for values that cannot work."""
        at_least(self, 1, "validate_every_n_epochs")
        at_least(self, 0, "min_nrof_val_images_per_class")
        between(self, 0.0, 0.99, "validation_set_split_ratio")


@dataclass(kw_only=True)
class VerificationOptions:
    """Verification on LFW and on sets of the same form."""

    validate_every_n_steps: int = option(0, "steps between validations and LFW runs, instead of epochs", resume=FREE)
    lfw_dir: str = option("", "folder of LFW-like faces, or a set such as lfw.bin, or drawn[:...]; empty = no LFW",
                          resume=FREE)
    val_targets: str = option("", "more sets, comma separated: .bin files, or names such as lfw,cfp_fp,agedb_30 of "
                              "those in or beside data_dir", resume=FREE)
    lfw_pairs: str = option("pairs.txt", "file of the pairs, also looked for in and beside lfw_dir", resume=FREE)
    lfw_every_n_epochs: int = option(1, "epochs between LFW runs", resume=FREE)
    lfw_batch_size: int = option(100, "images per batch of validation and LFW", resume=FREE)
    lfw_nrof_folds: int = option(10, "folds of the cross-validation", resume=FREE)
    lfw_distance_metric: int = option(0, "0 = squared Euclidean, 1 = cosine", choices=(0, 1), resume=FREE)
    lfw_use_flipped_images: bool = option(False, "concatenate the mirrored image's embedding", resume=FREE)
    lfw_flip: str = option("", "the same by name; sum as insightface does",
                           choices=("", "none", "concat", "sum"), resume=FREE)
    lfw_subtract_mean: bool = option(False, "subtract the mean embedding of the training folds", resume=FREE)

    def check(self):
        """Raise ValueError for values that cannot work."""
        at_least(self, 1, "lfw_every_n_epochs", "lfw_batch_size")
        at_least(self, 0, "validate_every_n_steps")
        at_least(self, 2, "lfw_nrof_folds")
