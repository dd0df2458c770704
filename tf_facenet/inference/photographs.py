"""Photographs → embeddings: find the face, cut it out as the model was trained, embed it."""

from dataclasses import dataclass

import numpy as np

from tf_facenet.align import crop, find
from tf_facenet.align.detect import Detector
from tf_facenet.align.recipe import Recipe
from tf_facenet.data import few_at_once
from tf_facenet.data.augment import Augmentation


@dataclass(frozen=True, eq=False)
class Embedded:
    """Faces that were found in some photographs, at most one in each.

    Attributes:
        embeddings: [n, D], rows of norm 1.
        quality: [n] norm of the features; blurred and turned faces have small ones.
        rows: [n] places of the photographs among those given, ascending.
        missed: list of (place, reason) of the others.
    """

    embeddings: np.ndarray
    quality: np.ndarray
    rows: np.ndarray
    missed: list


def recipe(metadata, align="auto", rule="central", margin=44, min_face_size=0):
    """How faces are cut out for a model.

    Args:
        metadata: of the model.
        align: "auto" for what the model was trained on, "margin" for facenet's crop, or a template's name.
        rule: which of several faces; see `align.crop.choose`.
        margin: pixels, for facenet's crop.
        min_face_size: see `align.detect.Detector`.

    Raises:
        ValueError: an unknown template or rule, or one that gives another size than the network takes.
    """
    height, width = metadata["image_size"]
    template = metadata["template"] if align == "auto" else align.replace("margin", "")
    window = _window(metadata, template) if template else None
    if not template and height != width:
        raise ValueError(f"A crop with a margin is a square, and the network takes {height}x{width}. Name the template "
                         "with --align.")
    return Recipe(height, margin, template, rule=rule, min_face_size=min_face_size, window=window)


def _window(metadata, template):
    """The part (top, left, height, width) of a template's picture that the network sees, cropped as in training."""
    (height, width), (rows, columns) = metadata["image_size"], crop.template(template)[1]
    if height > rows or width > columns:
        raise ValueError(f"Faces on the template {template} do not fit a network of {height}x{width} pixels. Choose "
                         "another --align.")
    down, across = metadata.get("options", {}).get("crop", Augmentation.place)
    return int(down * (rows - height)), int(across * (columns - width)), height, width


def embed(embedder, samples, how, flip="none", progress=None):
    """Embed the faces of photographs.

    Args:
        embedder: `Embedder`.
        samples: N paths or encoded images (bytes).
        how: what `recipe` gave.
        flip: see `Embedder.embed`.
        progress: called with the number of photographs that are done.

    Returns:
        `Embedded`.

    Raises:
        ValueError: no face in any of them.
        OSError: the detector is not installed.
    """
    detector = Detector(how.min_face_size, batch_size=how.batch_size)
    cut, parts, kept, missed, readable = [], [], [], [], False
    for place, outcome in enumerate(find.faces(few_at_once.decoded(samples, how.batch_size), how, detector)):
        readable |= outcome.readable
        if outcome.faces:
            kept.append(place)
            cut.append(outcome.faces[0][0])
        else:
            missed.append((place, outcome.reason))
        if cut and (len(cut) == embedder.batch_size or place + 1 == len(samples)):
            parts.append(embedder.embed(np.stack(cut), flip, quality=True))
            cut = []
        if progress:
            progress(place + 1)
    if not kept:
        remedy = "If they show nothing but a face each, use --align none" if readable else "Name files that can be read"
        raise ValueError(f"There is no face in any of the {len(samples)} photographs ({missed[0][1]}). {remedy}.")
    embeddings, quality = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Embedded(embeddings, quality, np.array(kept), missed)


def check_all_found(found, samples):
    """Raise ValueError if a photograph has no face."""
    if found.missed:
        row, reason = found.missed[0]
        raise ValueError(f"{len(found.missed)} of {len(samples)} photographs cannot be embedded, the first: "
                         f"{samples[row]!r:.200} ({reason}). Leave them out.")
