"""Name the people on photographs: the nearest faces of a gallery."""

from dataclasses import dataclass

from tf_facenet.cli.shared import PhotographOptions
from tf_facenet.config import option, positional
from tf_facenet.options.bounds import at_least, between
from tf_facenet.terminal import say


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
    import os

    import numpy as np

    from tf_facenet.cli import shared
    from tf_facenet.data.folders import image_files
    from tf_facenet.inference import metadata
    from tf_facenet.inference.gallery import Gallery

    gallery = Gallery.load(options.gallery)
    metadata.check_made_by(gallery, options.model)
    named = [path for path in options.image_files if not os.path.isdir(path)]
    files = [file for path in options.image_files for file in ([path] if path in named else image_files(path))]
    shared.check_readable(files)
    embedder = shared.load_embedder(options.model, options)
    gallery.check_model(embedder.metadata["model_id"])
    limit = shared.distance_limit(embedder, options.threshold)
    files, embeddings, quality, skipped = shared.embed_files(embedder, files, options, named)
    similarities, rows = gallery.search(embeddings, options.nearest)
    distances = np.sqrt(np.maximum(2 - 2 * similarities, 0))
    for file, norm, near, found in zip(files, quality, distances, rows, strict=True):
        shown = [answer(gallery.names[row], distance, limit) for distance, row in zip(near, found, strict=True)]
        say(f"{file}: {', '.join(shown)}  quality {norm:.1f}")
    if limit:
        shared.tell_flip(embedder, options, options.threshold)
    else:
        say(shared.NO_THRESHOLD)
    return skipped.tell()


def answer(name, distance, limit):
    """What is said of a near face; without a limit everybody is who is nearest."""
    if limit and distance >= limit:
        return f"unknown (nearest {name} {distance:.3f})"
    return f"{name} ({distance:.3f})"
