"""Compare photographs of faces: a matrix of distances, and who is the same person."""

from dataclasses import dataclass

from tf_facenet.cli.shared import PhotographOptions
from tf_facenet.config import option, positional
from tf_facenet.options.bounds import between
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options(PhotographOptions):
    """Compare photographs of faces: a matrix of distances, and who is the same person."""

    model: str = positional("run folder, .keras file or exported model")
    image_files: str = positional("photographs", several=True)
    threshold: float = option(0.0, "Euclidean distance below which two are the same person; 0 = the model's own")

    def __post_init__(self):
        """Raise ValueError for a distance that cannot be."""
        super().__post_init__()
        between(self, 0, 2, "threshold")


def run(options):
    """Print facenet's table, and same or different."""
    from tf_facenet.cli import shared

    shared.check_readable(options.image_files)
    embedder = shared.load_embedder(options.model, options)
    import numpy as np

    files, embeddings, _, skipped = shared.embed_files(embedder, options.image_files, options, options.image_files)
    if len(files) == 1 and skipped.count:
        return skipped.tell()  # nothing is left to compare with
    distances = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)
    threshold = shared.distance_limit(embedder, options.threshold)
    say("Images:", *(f"{number:1d}: {name}" for number, name in enumerate(files)), "", "Distance matrix",
        "    " + "".join(f"    {number:1d}     " for number in range(len(files))))
    for number, row in enumerate(distances):
        say(f"{number:1d}  " + "".join(f"  {distance:1.4f}  " for distance in row))
    say("")
    if threshold:
        shared.tell_flip(embedder, options, options.threshold)
        say(f"Same person below {threshold:.4f}:", *verdicts(distances, threshold))
    else:
        say(shared.NO_THRESHOLD)
    return skipped.tell()


def verdicts(distances, threshold):
    """A line for each pair of images."""
    for first in range(len(distances)):
        for second in range(first + 1, len(distances)):
            verdict = "same" if distances[first, second] < threshold else "different"
            yield f"{first} {second}  {verdict:9}  {distances[first, second]:1.4f}"
