"""Compare photographs of faces: a matrix of distances, and who is the same person."""

from dataclasses import dataclass

from tf_facenet.cli.shared import PhotographOptions
from tf_facenet.config import option, positional
from tf_facenet.options.bounds import between


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

    embedder = shared.load_embedder(options.model, options)
    import numpy as np

    files, embeddings, _ = shared.embed_files(embedder, options.image_files, options)
    distances = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)
    threshold = shared.distance_limit(embedder, options.threshold)
    print("Images:", *(f"{number:1d}: {name}" for number, name in enumerate(files)), "", "Distance matrix", sep="\n")
    print("    ", *(f"    {number:1d}     " for number in range(len(files))), sep="")
    for number, row in enumerate(distances):
        print(f"{number:1d}  ", *(f"  {distance:1.4f}  " for distance in row), sep="")
    print()
    if not threshold:
        print("The model has no threshold; tf-facenet threshold chooses one.")
        return
    print(f"Same person below {threshold:.4f}:")
    for first in range(len(files)):
        for second in range(first + 1, len(files)):
            verdict = "same" if distances[first, second] < threshold else "different"
            print(f"{first} {second}  {verdict:9}  {distances[first, second]:1.4f}")
