"""What the commands that use a model share: their options, and the way from a path to embeddings."""

from dataclasses import dataclass, replace

from tf_facenet.config import option
from tf_facenet.options.bounds import at_least
from tf_facenet.options.data import TEMPLATES, ImportOptions
from tf_facenet.terminal import say

CUTS = ("auto", "margin", *TEMPLATES)
SHOWN = 10  # images that are named
SMALLEST_FACES = ("side in pixels of the smallest faces looked for; 0 = 20, or 1/40 of the photograph's longer side if "
                  "that is more")
NO_THRESHOLD = "The model has no threshold: choose one on pairs with tf-facenet threshold, or pass --threshold"


@dataclass(kw_only=True)
class EmbeddingOptions(ImportOptions):
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


@dataclass(frozen=True)
class Skipped:
    """Images that were asked for and were not used.

    Attributes:
        reasons: list of (name, reason), also of what they leave empty.
        count: how many images.
        total: how many were asked for.
        named: whether the command line names one of them itself, not only the folder that it is in.
    """

    reasons: list
    count: int
    total: int
    named: bool = False

    def tell(self):
        """Name the first ones, and say in the last line how many of how many; returns the command's exit status."""
        if self.reasons:
            say(*(f"Skipped {name}: {reason}" for name, reason in self.reasons[:SHOWN]),
                f"Skipped {self.count} of {self.total} images")
        return int(self.named)


def check_readable(files):
    """Raise ValueError if not one of some files is an image, which needs no TensorFlow."""
    from tf_facenet.data import headers, samples

    reasons = []
    for file in files:
        try:
            reason = headers.fault(samples.read(file))
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        if reason is None:
            return
        reasons.append(f"{file}: {reason}")
    raise ValueError(f"None of the {len(files)} files is a photograph, the first is {reasons[0]}. Name others")


def load_embedder(model, options):
    """The Embedder of a model; with it TensorFlow is loaded."""
    from tf_facenet import inference

    return inference.load_embedder(model, options.import_, options.batch_size)


def embed_faces(embedder, faces, options):
    """Embed the images of some people.

    Returns:
        ``(faces, embeddings, quality, skipped)``: those that have a face and can be read, and `Skipped`, the others.
        Rows are those of `Embedder.embed`.
    """
    from tf_facenet.data import check
    from tf_facenet.progress import Progress

    if options.align != "none":
        return _embed_photographs(embedder, faces, options)
    total, (faces, bad) = len(faces), check.readable(faces)
    with Progress(len(faces), "Embedding", options.quiet) as bar:
        embeddings, quality = embedder.embed(faces.samples, options.flip, bar.update, quality=True)
    return faces, embeddings, quality, Skipped(bad, total - len(faces), total)


def embed_unit(embedder, faces, options):
    """As `embed_faces`, but rows have norm 1, also with concat."""
    from tf_facenet.inference.embedder import with_norm_1

    faces, embeddings, *others = embed_faces(embedder, faces, options)
    return faces, with_norm_1(embeddings, options.flip), *others


def embed_files(embedder, files, options, named=()):
    """Embed single images.

    Args:
        embedder: `Embedder`.
        files: paths.
        options: `EmbeddingOptions`.
        named: those of them that the command line names.

    Returns:
        ``(files, embeddings, quality, skipped)``, as `embed_unit` does.
    """
    faces, embeddings, quality, skipped = embed_unit(embedder, unnamed(files), options)
    used = set(faces.samples)
    return list(faces.samples), embeddings, quality, replace(skipped, named=not used.issuperset(named))


def unnamed(files):
    """`Faces` of files of which nobody says whom they show."""
    import numpy as np

    from tf_facenet.data.faces import Faces

    samples = np.empty(len(files), object)
    samples[:] = files
    return Faces(samples, np.zeros(len(files), np.int64), [""])


def _embed_photographs(embedder, faces, options):
    from tf_facenet.data.check import sample_name
    from tf_facenet.inference import photographs
    from tf_facenet.progress import Progress

    how = photographs.recipe(embedder.metadata, options.align, options.choose, options.margin, options.min_face_size)
    with Progress(len(faces), "Finding faces", options.quiet) as bar:
        found = photographs.embed(embedder, faces.samples, how, options.flip, bar.update)
    missed = [(sample_name(faces, row), reason) for row, reason in found.missed]
    return faces.select(found.rows), found.embeddings, found.quality, Skipped(missed, len(missed), len(faces))


def distance_limit(embedder, threshold):
    """Euclidean distance below which two faces are the same person's: `threshold`, or if 0 the model's own or None."""
    return threshold or (embedder.threshold and embedder.threshold**0.5)


def tell_flip(embedder, options, threshold):
    """Say so if the model's threshold is used, and was measured with another flip than the embeddings are."""
    flip = (embedder.metadata["threshold"] or {}).get("flip", options.flip)  # older files do not say it
    if not threshold and flip != options.flip:
        say(f"The model's threshold was measured with --flip {flip}, these distances with --flip {options.flip}: pass "
            f"--flip {flip}, or choose a threshold with tf-facenet threshold --flip {options.flip}")
