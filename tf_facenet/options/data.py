"""What is learned from, and the network that learns."""

import os
from dataclasses import dataclass

from tf_facenet.config import FREE, OF_PROCESS, image_size, option, paths, place, settings
from tf_facenet.options.bounds import at_least, between

TEMPLATES = ("112x112", "112x96")  # by name, of `align.crop.TEMPLATES`, which -h does not wait for


@dataclass(kw_only=True)
class DataOptions:
    """Training data."""

    data_dir: paths = option("drawn", "folder with one sub-folder per person, or a .rec file or the folder of "
                             "one, or faces drawn by the package: drawn[:people=200,images=20,size=112,seed=0,"
                             "first=0]; several, by the flag again or with colons between, are joined", type=paths,
                             resume=FREE, per_worker=True)
    people_file: str = option("", "train only on the people named in this file, one a line")
    exclude_people: str = option("", "do not train on the people named in this file, such as LFW's pairs.txt or "
                                 "people.txt; case, accents and underscores do not matter")
    batch_size: int = option(90, "images per batch over all devices")
    image_size: image_size = option(160, "side in pixels, or HEIGHTxWIDTH", type=image_size)
    crop: place = option((0.5, 0.5), "where larger images, LFW's too, are cropped: center, left, right, top, bottom, "
                         "or DOWN,ACROSS, shares from 0 to 1", type=place)
    template: str = option("", "template on which the faces lie, HEIGHTxWIDTH, stored with the model, so that it cuts "
                           "faces out of photographs alike; by default what tf-facenet align noted in data_dir, or "
                           "pretrained_model's",
                           choices=("", *TEMPLATES), resume=FREE)
    random_crop: bool = option(False, "random crop instead of that")
    random_flip: bool = option(False, "random horizontal flip")
    random_rotate: bool = option(False, "random rotation within ±10°")
    random_affine: float = option(0.0, "random rotation within ±10°, scale within ±10 %% and shift within ±5 %%, all "
                                  "times X, after the crop, without black corners")
    random_resize: float = option(0.0, "share of images that are shrunk, to a quarter at least, and enlarged again")
    random_blur: float = option(0.0, "share of images that are blurred by a Gaussian")
    jitter: float = option(0.0, "random factors 1 ± X of brightness, contrast and saturation; 0.2 is usual")
    random_gray: float = option(0.0, "share of images that lose their colour")
    random_erase: float = option(0.0, "share of images of which a rectangle is hidden")
    random_jpeg: float = option(0.0, "share of images saved as JPEG of quality 30 to 90 and read again")
    nrof_preprocess_threads: int = option(4, "threads that decode; 0 = one for each core", resume=FREE, per_worker=True)
    strict_data: bool = option(False, "an unreadable image is an error instead of being skipped", resume=FREE)
    exclude_file: str = option("", "CSV file whose first column names images not to train on, as tf-facenet clean "
                               "writes it")
    filter_filename: str = option("", "HDF5 file of distances to class centres")
    filter_percentile: float = option(100.0, "keep images nearer than this percentile")
    filter_min_nrof_images_per_class: int = option(0, "drop classes with fewer images")

    def check(self):
        """Raise ValueError for values that cannot work."""
        at_least(self, 1, "batch_size")
        at_least(self, 0, "nrof_preprocess_threads", "filter_min_nrof_images_per_class")
        between(self, 0.0, 100.0, "filter_percentile")
        between(self, 0.0, 1.0, "random_affine", "random_resize", "random_blur", "jitter", "random_gray",
                "random_erase", "random_jpeg")


@dataclass(kw_only=True)
class ImportOptions:
    """Layers of your own."""

    import_: paths = option("", "module or .py file that defines layers of the model, if this package does not; "
                            "several by the flag again", type=paths, resume=OF_PROCESS, per_worker=True)


@dataclass(kw_only=True)
class ModelOptions(ImportOptions):
    """Network."""

    model_def: str = option("models.inception_resnet_v1", "backbone by name (inception_resnet_v1, "
                            "mobilenet_v1, mobilenet_v2, mobilenet_v3, small, swin_t ...), keras:NAME for a network of "
                            "keras.applications, such as keras:EfficientNetV2B0, or a function of your own, "
                            "package.module:function or PATH.py:function")
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
        at_least(self, 1, "embedding_size")
        self.pretrained_model = os.path.expanduser(self.pretrained_model)
        between(self, 1e-3, 1.0, "keep_probability")
