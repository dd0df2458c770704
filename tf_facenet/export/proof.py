"""Proof of an export: run it and the network in Keras on the same pairs of faces, and compare."""

import dataclasses

import numpy as np
import tensorflow as tf

from tf_facenet.data import drawn
from tf_facenet.data.augment import Augmentation
from tf_facenet.data.in_order import evaluation_batches
from tf_facenet.evaluation.verification import evaluate
from tf_facenet.export import network
from tf_facenet.inference import runners
from tf_facenet.inference.embedder import unit_rows
from tf_facenet.progress import Progress

# Largest difference of an embedding's numbers. Float32 is rounding only; half precision keeps three digits; with int8
# embeddings come in steps of 1/128, and what was rounded in each layer adds up.
TOLERANCES = {"": 1e-4, "float16": 2e-2, "int8": 0.2}
LOSS = 0.03  # of accuracy, at most; the few pairs of a proof have a noise of their own
BATCH = 32


@dataclasses.dataclass(frozen=True)
class Proof:
    """What was measured.

    Attributes:
        difference: largest difference between numbers of the unit embeddings.
        before: accuracy of the network in Keras, mean over the folds.
        after: accuracy of the export.
        pairs: what was verified, in words, such as "300 pairs of drawn faces".
    """

    difference: float
    before: float
    after: float
    pairs: str

    def __str__(self):
        return (f"differs from Keras by at most {self.difference:.1e}; accuracy on {self.pairs} "
                f"{self.before:.4f} in Keras, {self.after:.4f} exported")

    def check(self, path, quantize=""):
        """Raise ValueError if the export is too different; see `TOLERANCES` and `LOSS`."""
        tolerance = TOLERANCES[quantize]
        if not self.difference <= tolerance:  # this way round NaN is a failure, too
            raise ValueError(f"The export to '{path}' differs from Keras by {self.difference:.2g}; expected at most "
                             f"{tolerance:g}. Nothing was written.{_REMEDIES[quantize]}")
        if not self.before - self.after <= LOSS:
            raise ValueError(f"The export to '{path}' has an accuracy of {self.after:.4f} on {self.pairs}, in "
                             f"Keras it is {self.before:.4f}; expected to lose at most {LOSS:g}. Nothing was written."
                             f"{_REMEDIES[quantize]}")


_REMEDIES = {"": "", "float16": " Export without --quantize.",
             "int8": " Calibrate with faces like those that it will see, or use --quantize float16."}


def drawn_size(image_size):
    """Side of drawn faces that fill images (height, width)."""
    return min(max(32, *image_size), 1024)


def drawn_pairs(image_size):
    """300 pairs of 40 drawn people, for images (height, width)."""
    return drawn.draw_pairs(people=40, images=5, size=drawn_size(image_size), pairs_per_fold=30)


def prove(model, path, pairs, place=Augmentation.place, quiet=True):
    """Compare an export with the network that it was made of.

    Args:
        model: `keras.Model`, pixels [B, H, W, 3] → features [B, D].
        path: the export, as `inference.runners.load` takes it.
        pairs: `data.pairs.Pairs`.
        place: where larger images are cropped, see `data.images.crop`.
        quiet: no progress bar.

    Returns:
        `Proof`.

    Raises:
        OSError: an image or the export cannot be read.
        ValueError: the pairs are too few, or the export is not one.
    """
    reference, exported = network.embedding_module(network.in_float32(model)), runners.load(path)
    images, rows = np.unique(pairs.images, return_inverse=True)
    before, after = [], []
    with Progress(len(images), "Comparing", quiet) as bar:
        for pixels in evaluation_batches(images, BATCH, model.inputs[0].shape[1:3], place=place):
            before.append(reference.embed(tf.cast(pixels, tf.float32))["embeddings"].numpy())
            after.append(unit_rows(exported(pixels)).numpy())
            bar.update(sum(map(len, after)))
    before, after = np.concatenate(before), np.concatenate(after)
    accuracies = [evaluate(embeddings[rows], pairs.same, folds=pairs.folds).accuracy for embeddings in (before, after)]
    return Proof(float(np.abs(after - before).max()), *accuracies, str(pairs))
