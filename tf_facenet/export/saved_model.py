"""SavedModel: a folder that TensorFlow, TensorFlow Serving and others run without this package.

Signatures (a signature has one type of input, therefore two take pixels):

    name              input                                  outputs
    serving_default   pixels [B, H, W, 3] float32, 0..255    embeddings [B, D], rows of norm 1
    serving_uint8     pixels [B, H, W, 3] uint8              norm [B], of the features before
    jpeg              encoded [B], whole image files

Pixels are RGB; the network standardises them by itself. `jpeg` takes aligned faces of any size and
format that `data.images.decode` reads, turned as their EXIF orientation says and stretched to the
network's size (bilinear, antialiased; validation crops or pads, which is the same for images of the
right size). The metadata are in `assets.extra/tf_facenet.json`. facenet's frozen graphs had the
nodes input, embeddings and phase_train instead (src/freeze_graph.py).
"""

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_facenet.data import images
from tf_facenet.files import atomic_folder
from tf_facenet.inference.embedder import ASSETS, unit_rows
from tf_facenet.inference.model_file import SAVED_MODEL, describe

SIGNATURES = {
    "serving_default": "pixels float32 [B, H, W, 3]",
    "serving_uint8": "pixels uint8 [B, H, W, 3]",
    "jpeg": "encoded string [B]",
}
TOLERANCE = 1e-4  # largest difference to Keras of an embedding, or of a norm by its size
_PARTS = {SAVED_MODEL, "fingerprint.pb", "variables", "assets", "assets.extra"}


def saved_model(model, metadata, directory):
    """Export a network, load what was written, and compare it with Keras.

    Args:
        model: `keras.Model`, pixels [B, H, W, 3] → features [B, D].
        metadata: dict of what JSON holds; see `inference.model_file`.
        directory: the folder to write; an older export there is replaced, once the new one is
            complete and right.

    Returns:
        The largest difference found; see TOLERANCE.

    Raises:
        ValueError: the folder holds something else than an older export, or the export gives
            other embeddings than Keras.
        OSError: the folder cannot be written.
    """
    directory = Path(directory)
    _check_replaceable(directory)
    model, metadata = _in_float32(model), describe(model, metadata)
    module = tf.Module()
    module.model_variables = [variable.value for variable in model.variables]
    with atomic_folder(directory) as temporary:
        try:
            tf.saved_model.save(module, temporary, signatures=_signatures(model))
        except tf.errors.OpError as error:  # what TensorFlow makes of a full disk
            raise OSError(f"Cannot write '{directory}': {error.message}") from error
        (temporary / ASSETS).parent.mkdir()
        text = json.dumps(metadata, indent=2, ensure_ascii=False)
        (temporary / ASSETS).write_text(text, encoding="utf-8")
        difference = _difference(model, tf.saved_model.load(temporary).signatures)
        if not difference <= TOLERANCE:  # this way round NaN is a failure, too
            raise ValueError(f"The export to '{directory}' differs from Keras by {difference:.2g}; "
                             f"expected at most {TOLERANCE:g}. Nothing was written.")
    return difference


def _in_float32(model):
    """The network, or its copy that computes in float32 if it was trained in mixed precision.

    What half precision gives depends on which operations a device fuses: it would differ from place
    to place, and saves nothing where a SavedModel runs.
    """
    if all(layer.compute_dtype == "float32" for layer in model._flatten_layers()):
        return model
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in copy._flatten_layers():
        layer.dtype_policy = "float32"
    return copy


def _signatures(model):
    """The concrete functions under the names of SIGNATURES."""
    shape = model.inputs[0].shape[1:]
    batch = tf.TensorSpec([None, *shape], tf.float32, "pixels")

    @tf.function(input_signature=[batch])  # traced once; the others call it
    def from_pixels(pixels):
        features = tf.cast(model(pixels, training=False), tf.float32)
        return {"embeddings": unit_rows(features), "norm": tf.norm(features, axis=-1)}

    @tf.function(input_signature=[tf.TensorSpec(batch.shape, tf.uint8, "pixels")])
    def from_uint8(pixels):
        return from_pixels(tf.cast(pixels, tf.float32))

    def from_file(encoded):
        return tf.image.resize(images.decode(encoded), shape[:2], antialias=True)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "encoded")])
    def from_files(encoded):
        pixels = tf.map_fn(from_file, encoded, fn_output_signature=tf.TensorSpec(shape, tf.float32))
        return from_pixels(pixels)

    return {"serving_default": from_pixels, "serving_uint8": from_uint8, "jpeg": from_files}


def _difference(model, signatures):
    """Largest difference between Keras and the signatures on two images of noise.

    Embeddings are compared as they are, norms as shares of the norm.
    """
    shape = (2, *model.inputs[0].shape[1:])
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    features = tf.cast(model(pixels.astype("float32"), training=False), tf.float32)
    embeddings, norm = unit_rows(features), tf.norm(features, axis=-1)
    results = (
        signatures["serving_default"](pixels=tf.constant(pixels, tf.float32)),
        signatures["serving_uint8"](pixels=tf.constant(pixels)),
        signatures["jpeg"](encoded=tf.stack([tf.io.encode_png(image) for image in pixels])),
    )
    differences = [result["embeddings"] - embeddings for result in results]
    differences += [(result["norm"] - norm) / tf.maximum(norm, 1e-5) for result in results]
    return float(max(np.abs(difference).max() for difference in differences))


def _check_replaceable(directory):
    """Raise ValueError if writing to `directory` would remove something else than an export."""
    if not directory.exists():
        return
    names = {item.name for item in directory.iterdir()} if directory.is_dir() else {"a file"}
    if names and (SAVED_MODEL not in names or names - _PARTS):
        found = ", ".join(sorted(names - _PARTS)[:8])
        raise ValueError(f"Cannot export to '{directory}': expected a new folder or an older "
                         f"export, found {found}. Choose another folder.")
