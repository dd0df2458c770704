"""SavedModel: a folder that TensorFlow, TensorFlow Serving and others run without this package.

Signatures (a signature has one type of input, therefore two take pixels):

    name              input                                  outputs
    serving_default   pixels [B, H, W, 3] float32, 0..255    embeddings [B, D], rows of norm 1
    serving_uint8     pixels [B, H, W, 3] uint8              norm [B], of the features before
    jpeg              encoded [B], whole image files         and ok [B], whether the file could be read

Pixels are RGB; the network standardises them by itself. `jpeg` takes aligned faces of any size as
JPEG, PNG, GIF, BMP or WebP (see `file_headers`), turned as their EXIF orientation says and stretched
to the network's size (bilinear, antialiased; validation crops or pads, which is the same for images
of the right size). A file that cannot be read has zeros for its embedding and norm, and does not
touch the others. The metadata are in `assets.extra/tf_facenet.json`. facenet's frozen graphs had the
nodes input, embeddings and phase_train instead (src/freeze_graph.py).
"""

import json

import numpy as np
import tensorflow as tf

from tf_facenet.data import images
from tf_facenet.export import file_headers
from tf_facenet.inference.metadata import ASSETS

SIGNATURES = {
    "serving_default": "pixels float32 [B, H, W, 3]",
    "serving_uint8": "pixels uint8 [B, H, W, 3]",
    "jpeg": "encoded string [B]",
}
TOLERANCE = 1e-4  # largest difference of an embedding, or of a norm by its size


def saved_model(module, metadata, folder):
    """Write a network, and compare each signature of what was written with it.

    Args:
        module: see `network.embedding_module`.
        metadata: dict of what JSON holds; see `inference.model_file`.
        folder: an empty folder.

    Raises:
        ValueError: a signature gives other embeddings than the network.
        OSError: the folder cannot be written.
    """
    try:
        tf.saved_model.save(module, folder, signatures=_signatures(module.embed))
    except tf.errors.OpError as error:  # what TensorFlow makes of a full disk
        raise OSError(f"Cannot write '{folder}': {error.message}") from error
    (folder / ASSETS).parent.mkdir()
    (folder / ASSETS).write_text(json.dumps(metadata, indent=2, ensure_ascii=False), encoding="utf-8")
    difference = _difference(module.embed, tf.saved_model.load(folder).signatures)
    if not difference <= TOLERANCE:  # this way round NaN is a failure, too
        raise ValueError(f"The signatures of the SavedModel differ from the network by {difference:.2g}; expected at "
                         f"most {TOLERANCE:g}. Nothing was written.")


def _signatures(from_pixels):
    """The functions under the names of SIGNATURES."""
    shape = from_pixels.input_signature[0].shape[1:]

    @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.uint8, "pixels")])
    def from_uint8(pixels):
        return from_pixels(tf.cast(pixels, tf.float32))

    def from_file(encoded):
        return tf.image.resize(file_headers.pixels(encoded), shape[:2], antialias=True)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "encoded")], autograph=False)
    def from_files(encoded):
        count = tf.shape(encoded, out_type=tf.int64)[:1]
        with tf.device("CPU:0"):
            places, pixels = images.map_readable(from_file, encoded)
            ok = tf.scatter_nd(places[:, None], tf.ones_like(places), count) > 0
            pixels = tf.scatter_nd(places[:, None], pixels, tf.concat([count, shape], axis=0))
        found = from_pixels(pixels)
        return {"embeddings": tf.where(ok[:, None], found["embeddings"], 0.0),
                "norm": tf.where(ok, found["norm"], 0.0), "ok": ok}

    return {"serving_default": from_pixels, "serving_uint8": from_uint8, "jpeg": from_files}


def _difference(embed, signatures):
    """Largest difference between the network and the signatures on two images of noise.

    Embeddings are compared as they are, norms as shares of the norm.
    """
    shape = (2, *embed.input_signature[0].shape[1:])
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    expected = embed(tf.constant(pixels, tf.float32))
    embeddings, norm = expected["embeddings"], expected["norm"]
    results = (
        signatures["serving_default"](pixels=tf.constant(pixels, tf.float32)),
        signatures["serving_uint8"](pixels=tf.constant(pixels)),
        signatures["jpeg"](encoded=tf.stack([tf.io.encode_png(image) for image in pixels])),
    )
    differences = [result["embeddings"] - embeddings for result in results]
    differences += [(result["norm"] - norm) / tf.maximum(norm, 1e-5) for result in results]
    return float(max(np.abs(difference).max() for difference in differences))
