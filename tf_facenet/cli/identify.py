"""Name the people on photographs: the nearest faces of a gallery."""

from dataclasses import dataclass

from tf_facenet.cli.shared import PhotographOptions
from tf_facenet.config import option, positional
from tf_facenet.options.bounds import at_least, between


@dataclass(kw_only=True)
class Options(PhotographOptions):
    """Name the people on photographs: the nearest faces of a gallery."""

    model: str = positional("the model that the gallery was made with")
    gallery: str = positional("folder that tf-facenet enroll wrote")
    image_files: str = positional("photographs, or folders of them", several=True)
    threshold: float = option(0.0, "Euclidean distance from which on a face is unknown; 0 = the model's own")
    nearest: int = option(1, "nearest faces shown")

    def __post_init__(self):
        """Raise ValueError for numbers that cannot be."""
        super().__post_init__()
        between(self, 0, 2, "threshold")
        at_least(self, 1, "nearest")


def run(options):
    """Embed, search and print."""
    from tf_facenet.cli import shared

    embedder = shared.load_embedder(options.model, options)
    import os

    import numpy as np

    from tf_facenet.data.folders import image_files
    from tf_facenet.inference.gallery import Gallery

    gallery = Gallery.load(options.gallery)
    gallery.check_model(embedder.metadata["model_id"])
    limit = shared.distance_limit(embedder, options.threshold)
    if not limit:
        raise ValueError("The model has no threshold: pass --threshold, or choose one with tf-facenet threshold")
    files = [file for path in options.image_files for file in (image_files(path) if os.path.isdir(path) else [path])]
    files, embeddings, quality = shared.embed_files(embedder, files, options)
    similarities, rows = gallery.search(embeddings, options.nearest)
    distances = np.sqrt(np.maximum(2 - 2 * similarities, 0))
    for file, norm, near, found in zip(files, quality, distances, rows, strict=True):
        shown = [f"{gallery.names[row] if distance < limit else 'unknown'} ({distance:.3f})"
                 for distance, row in zip(near, found, strict=True)]
        print(f"{file}: {', '.join(shown)}  quality {norm:.1f}")
