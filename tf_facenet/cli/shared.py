"""What the commands that use a model share: their options, and the way from a path to embeddings."""

from dataclasses import dataclass

from tf_facenet.config import option
from tf_facenet.options.bounds import at_least
from tf_facenet.options.data import TEMPLATES

CUTS = ("auto", "margin", *TEMPLATES)
SMALLEST_FACES = ("side in pixels of the smallest faces looked for; 0 = 20, or 1/40 of the photograph's longer side if "
                  "that is more")


@dataclass(kw_only=True)
class EmbeddingOptions:
    """How faces are embedded."""

    choose: str = option("central", "which of several faces of a photograph", choices=("central", "largest", "score"))
    margin: int = option(44, "pixels around a face, where it is cut out with a margin")
    min_face_size: int = option(0, SMALLEST_FACES)
    flip: str = option("none", "use the mirrored image, too: sum adds its features, as insightface; concat appends its "
                       "embedding, as facenet", choices=("none", "sum", "concat"))
    batch_size: int = option(100, "images per batch")
    quiet: bool = option(False, "no progress bar")

    def __post_init__(self):
        """Raise ValueError for numbers that cannot be."""
        at_least(self, 0, "margin", "min_face_size")
        at_least(self, 1, "batch_size")


@dataclass(kw_only=True)
class FaceOptions(EmbeddingOptions):
    """Where the faces are."""

    align: str = option("none", "none = the images are faces that were cut out already; auto = find the face and cut it"
                        " out as the model was trained, or say how", choices=("none", *CUTS))


@dataclass(kw_only=True)
class PhotographOptions(EmbeddingOptions):
    """Where the faces are."""

    align: str = option("auto", "auto = find the face and cut it out as the model was trained, or say how; none = the "
                        "images are faces that were cut out already", choices=(*CUTS, "none"))


def load_embedder(model, options):
    """The Embedder of a model, logs set up."""
    from tf_facenet import logs

    logs.to_stdout(options.quiet)
    from tf_facenet.inference.embedder import Embedder

    return Embedder.load(model, options.batch_size)


def embed_faces(embedder, faces, options):
    """Embed the images of some people.

    Returns:
        ``(faces, embeddings, quality)``: those that have a face and can be read; the others are named on stdout. Rows
        are those of `Embedder.embed`.
    """
    from tf_facenet.data import check
    from tf_facenet.progress import Progress

    if options.align != "none":
        return _embed_photographs(embedder, faces, options)
    faces, bad = check.readable(faces)
    _say_missed(bad)
    with Progress(len(faces), "Embedding", options.quiet) as bar:
        embeddings, quality = embedder.embed(faces.samples, options.flip, bar.update, quality=True)
    return faces, embeddings, quality


def embed_unit(embedder, faces, options):
    """As `embed_faces`, but rows have norm 1, as those have that thresholds and galleries are of, also with concat."""
    faces, embeddings, quality = embed_faces(embedder, faces, options)
    return faces, embeddings / 2**0.5 if options.flip == "concat" else embeddings, quality


def embed_files(embedder, files, options):
    """Embed single images.

    Returns:
        ``(files, embeddings, quality)``, as `embed_unit` does.
    """
    faces, embeddings, quality = embed_unit(embedder, unnamed(files), options)
    return list(faces.samples), embeddings, quality


def unnamed(files):
    """`Faces` of files of which nobody says whom they show."""
    import numpy as np

    from tf_facenet.data.faces import Faces

    samples = np.empty(len(files), object)
    samples[:] = files
    return Faces(samples, np.zeros(len(files), np.int64), [""])


def _embed_photographs(embedder, faces, options):
    from tf_facenet.inference import photographs
    from tf_facenet.progress import Progress

    how = photographs.recipe(embedder.metadata, options.align, options.choose, options.margin, options.min_face_size)
    with Progress(len(faces), "Finding faces", options.quiet) as bar:
        found = photographs.embed(embedder, faces.samples, how, options.flip, bar.update)
    _say_missed([(faces.samples[row], reason) for row, reason in found.missed])
    return faces.select(found.rows), found.embeddings, found.quality


def _say_missed(missed):
    for name, reason in missed[:10]:
        print(f"Skipped {name}: {reason}")
    if len(missed) > 10:
        print(f"Skipped {len(missed) - 10} more")


def distance_limit(embedder, threshold):
    """Euclidean distance below which two faces are the same person's: `threshold`, or if 0 the model's own or None."""
    return threshold or (embedder.threshold and embedder.threshold**0.5)
