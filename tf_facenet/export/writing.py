"""Export a network: write it, run what was written, and keep it if it is right."""

import importlib
from pathlib import Path

import numpy as np

from tf_facenet import data
from tf_facenet.data.augment import Augmentation
from tf_facenet.data.in_order import evaluation_batches
from tf_facenet.export import FORMATS, check_place, format_of, network, proof, replaced
from tf_facenet.files import atomic_folder, atomic_write
from tf_facenet.finite import check_weights
from tf_facenet.inference.model_file import describe

CALIBRATION = 200  # images at most; more change the ranges no more


def export(model, metadata, path, *, pairs=None, quantize="", calibrate="drawn", place=Augmentation.place, quiet=True):
    """Export a network and compare what was written with Keras.

    The file or folder appears, or replaces an older one, once it is complete and right.

    Args:
        model: `keras.Model`, pixels [B, H, W, 3] → features [B, D].
        metadata: dict of what JSON holds; see `inference.model_file`.
        path: what to write; its suffix says the format: .onnx, .tflite, any other for the folder of a SavedModel.
        pairs: `data.pairs.Pairs` to compare on; None draws some.
        quantize: "", or a type of numbers that the format takes.
        calibrate: faces like those that an int8 network will see, as `data.load` takes them; "drawn" draws some.
        place: where larger images are cropped, see `data.images.crop`.
        quiet: no progress bar.

    Returns:
        `proof.Proof`.

    Raises:
        NonFiniteError: a weight is NaN or infinite.
        ValueError: the format cannot be written, or the export is too different from Keras.
        OSError: images cannot be read, the export cannot be written, or the folder holds something else than an older
            export.
    """
    path, name = Path(path), format_of(path, quantize=quantize)
    check_place(path)
    check_weights(model)
    metadata = describe(model, metadata)
    pairs = pairs or proof.drawn_pairs(metadata["image_size"])
    options = {}
    if quantize:
        metadata, options = {**metadata, "quantize": quantize}, {"quantize": quantize}
    if quantize == "int8":
        options["images"] = _calibration_images(calibrate, metadata["image_size"], place)
    write = getattr(importlib.import_module(FORMATS[name].module), name)
    with atomic_folder(path, replaced(path)) if name == "saved_model" else atomic_write(path) as temporary:
        write(network.embedding_module(network.prepared(model)), metadata, temporary, **options)
        found = proof.prove(model, temporary, pairs, place, quiet)
        found.check(path, quantize)
    return found


def _calibration_images(source, image_size, place):
    """Evenly spread images of a data set: uint8 [N, H, W, 3]."""
    if source == "drawn":
        source = f"drawn:people={CALIBRATION},images=1,size={proof.drawn_size(image_size)}"
    samples = data.load(source).samples
    rows = np.linspace(0, len(samples) - 1, min(len(samples), CALIBRATION)).astype(int)
    return np.concatenate(list(evaluation_batches(samples, proof.BATCH, image_size, place=place, rows=rows)))
