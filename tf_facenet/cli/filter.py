"""Measure how far images are from the mean of their person, to train without the farthest."""

from dataclasses import dataclass

from tf_facenet.cli.shared import FaceOptions
from tf_facenet.config import option, positional
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options(FaceOptions):
    """Measure how far images are from the mean of their person, to train without the farthest."""

    model: str = positional("run folder, .keras file or exported model")
    dataset_dir: str = positional("folder with one sub-folder for each person, or what else --data_dir takes")
    data_file_name: str = positional("HDF5 file to write, for --filter_filename", writes="file")
    drop: float = option(0.0, "also list this percentage of the images, the farthest, in a .csv beside it, for "
                         "--exclude_file")

    def __post_init__(self):
        """Raise ValueError for a percentage that cannot be, or a list that would replace the file."""
        super().__post_init__()
        if not 0 <= self.drop < 100:
            raise ValueError(f"--drop is {self.drop}; expected a percentage from 0 to below 100")
        if self.drop and self.data_file_name.lower().endswith(".csv"):
            raise ValueError(f"{self.data_file_name!r} is where --drop writes its list; expected an HDF5 file that "
                             "does not end in .csv, such as distances.h5")


def run(options):
    """Embed, measure and write."""
    from pathlib import Path

    import numpy as np

    from tf_facenet import data
    from tf_facenet.cli import shared
    from tf_facenet.files import write_csv
    from tf_facenet.inference import filtering

    faces = data.load(options.dataset_dir)
    filtering.check_names(faces)
    embedder = shared.load_embedder(options.model, options)
    faces, embeddings, _, skipped = shared.embed_unit(embedder, faces, options)
    distances = filtering.distances_to_means(embeddings, faces.labels, faces.num_classes)
    filtering.write(options.data_file_name, faces, distances)
    lines = [f"Distances of {len(faces)} images to the means of {faces.num_classes} people: {options.data_file_name}"]
    if options.drop:
        path = Path(options.data_file_name).with_suffix(".csv")
        farthest = np.argsort(-distances, kind="stable")[:round(len(faces) * options.drop / 100)]
        rows = [(faces.samples[row], faces.names[faces.labels[row]], f"{distances[row]:.4f}") for row in farthest]
        write_csv(path, [("image", "person", "distance"), *rows])
        lines.append(f"Train without the {len(farthest)} farthest: train_softmax.py --exclude_file {path}")
    say(*lines)
    return skipped.tell()
