"""TFLite: a file that LiteRT runs on telephones and small computers, without this package and without TensorFlow.

One signature: input `pixels` [B, H, W, 3] RGB 0..255, outputs `embeddings` [B, D], rows of norm 1, and `norm` [B] of
the features before; B is free (the interpreter resizes its input). The metadata are the member `tf_facenet.json` of a
zip archive behind the network, the format's own way to carry files.

    quantize    pixels     weights    computes in
    ""          float32    float32    float32
    "float16"   float32    float16    float32, or float16 where a device is faster with it
    "int8"      uint8      int8       int8, in ranges taken from images
"""

import json
import zipfile

import numpy as np
import tensorflow as tf

from tf_facenet.inference.metadata import MEMBER


def tflite(module, metadata, path, quantize="", images=None):
    """Write a network.

    Args:
        module: see `network.embedding_module`.
        metadata: dict of what JSON holds; see `inference.model_file`.
        path: the file to write.
        quantize: an entry of `QUANTIZE`, or "".
        images: uint8 [N, H, W, 3], for int8: faces like those that it will see.

    Raises:
        ValueError: the features of the images are not finite.
        OSError: the file cannot be written.
    """
    if images is not None and not np.isfinite(module.embed(tf.cast(images, tf.float32))["norm"]).all():
        raise ValueError("The network gives numbers that are not finite; it has diverged.")  # the converter would crash
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.embed.get_concrete_function()], module)
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        QUANTIZE[quantize](converter, images)
    path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, json.dumps(metadata, ensure_ascii=False))


def _float16(converter, _images):
    converter.target_spec.supported_types = [tf.float16]


def _int8(converter, images):
    images = np.array(images, np.float32)
    images[0, 0, :2] = [[0] * 3, [255] * 3]  # both ends occur, so that a step is one and the pixels stay as they are
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.inference_input_type = tf.uint8


QUANTIZE = {"float16": _float16, "int8": _int8}
