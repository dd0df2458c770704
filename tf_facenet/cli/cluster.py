"""Sort photographs into one folder for each person, without knowing anybody."""

from dataclasses import dataclass

from tf_facenet.cli.shared import PhotographOptions
from tf_facenet.config import option, positional
from tf_facenet.options.bounds import at_least, between
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options(PhotographOptions):
    """Sort photographs into one folder for each person, without knowing anybody."""

    model: str = positional("run folder, .keras file or exported model")
    data_dir: str = positional("folder of images, or of folders of them")
    out_dir: str = positional("folder to write: 0, 1, ... from the largest group on, and nobody", writes="folder")
    method: str = option("average", "average = groups merged while they are near in the mean; dbscan = all that is "
                         "linked; hdbscan = denser groups", choices=("average", "dbscan", "hdbscan"))
    cluster_threshold: float = option(0.0, "distance below which groups are merged or images linked; 0 = from the "
                                      "model's own threshold")
    min_cluster_size: int = option(1, "images of a person at least; the rest goes to nobody")
    largest_cluster_only: bool = option(False, "write only the largest group")

    def __post_init__(self):
        """Raise ValueError for numbers that cannot be."""
        super().__post_init__()
        between(self, 0, 2, "cluster_threshold")
        at_least(self, 1, "min_cluster_size")


def run(options):
    """Embed, cluster and copy."""
    import shutil
    from pathlib import Path

    import numpy as np

    from tf_facenet.cli import shared
    from tf_facenet.data.folders import image_files
    from tf_facenet.files import atomic_folder, check_replaceable
    from tf_facenet.inference.clustering import NOBODY, cluster

    out = Path(options.out_dir)
    check_replaceable(out)
    files = image_files(options.data_dir)
    embedder = shared.load_embedder(options.model, options)
    threshold = _threshold(embedder, options)
    files, embeddings, _, skipped = shared.embed_files(embedder, files, options)
    labels = cluster(embeddings, options.method, threshold, options.min_cluster_size)
    with atomic_folder(out) as temporary:
        for number, (file, label) in enumerate(zip(files, labels, strict=True)):
            if options.largest_cluster_only and label != 0:
                continue
            folder = temporary / ("nobody" if label == NOBODY else str(label))
            folder.mkdir(exist_ok=True)
            shutil.copyfile(file, folder / f"{number:06d}_{Path(file).name}")
    sizes = np.bincount(labels[labels >= 0])
    say(f"{len(files)} images, {len(sizes)} people (the largest has {sizes.max(initial=0)} images), "
        f"{np.count_nonzero(labels == NOBODY)} images of nobody: {out}")
    shared.tell_flip(embedder, options, options.cluster_threshold)
    return skipped.tell()


def _threshold(embedder, options):
    """The distance of `cluster`: the option's or the model's; None if there is none and the method can do without."""
    from tf_facenet.cli import shared
    from tf_facenet.inference.clustering import linking_distance

    own = shared.distance_limit(embedder, 0)
    if options.cluster_threshold or own:
        return options.cluster_threshold or linking_distance(own, options.method)
    if options.method != "hdbscan":
        raise ValueError("The model has no threshold: pass --cluster_threshold, or choose one by tf-facenet threshold")
    return None
