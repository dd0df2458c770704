"""The options of the scripts, in groups; names and defaults are facenet's where it had them."""

from dataclasses import dataclass

from tf_facenet.config import image_size, option, place, positional
from tf_facenet.options.bounds import at_least
from tf_facenet.options.data import DataOptions, ImportOptions, ModelOptions
from tf_facenet.options.learning import HeadOptions, LossOptions, OptimizerOptions, TripletLossOptions
from tf_facenet.options.run import DeviceOptions, RunOptions
from tf_facenet.options.validation import ValidationOptions, VerificationOptions


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
class LfwOptions(_Checked, ImportOptions):
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
    json: str = option("", "also write the result to this JSON file", writes="file")
    plot: str = option("", "also draw PREFIX_roc.png, PREFIX_distances.png and PREFIX_pairs.png", writes="prefix")
    report: str = option("", "also write this HTML page with curves and the worst mistakes as pictures", writes="file")
    quiet: bool = option(False, "no progress bar")

    def check(self):
        """Raise ValueError for values that cannot work."""
        at_least(self, 1, "lfw_batch_size")
        at_least(self, 2, "lfw_nrof_folds")
