"""Networks as files, ready to run: each form of file gives a function pixels → features.

The exports (`export`) hold two outputs, embeddings and norm; features are the product of the two.
"""

import dataclasses
import importlib.util
import os
import re
import struct
import threading
import warnings
import zipfile
from collections.abc import Callable

import keras
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from tf_facenet import environment, kernels
from tf_facenet.backbones.folding import fold_batch_norms
from tf_facenet.inference import model_file, operations
from tf_facenet.inference.metadata import ASSETS, MEMBER, SAVED_MODEL, locate, parse

OUTPUTS = ["embeddings", "norm"]


@dataclasses.dataclass(frozen=True)
class Runner:
    """A network that runs.

    Attributes:
        features: function of TensorFlow operations, also inside a `tf.function`: pixels [B, H, W, 3] RGB 0..255 of any
            number type → features [B, D] float32, not normalised.
        metadata: see `inference.model_file`.
    """

    features: Callable
    metadata: dict

    def __call__(self, pixels):
        """Features of a batch."""
        return self.features(pixels)


def load(path, custom_objects=None):
    """The `Runner` of a run folder, a `.keras`, `.onnx` or `.tflite` file or a SavedModel folder.

    Args:
        path: where it is.
        custom_objects: see `model_file.load_model`.

    Raises:
        OSError: nothing is there, or it cannot be read.
        ValueError: it is damaged or not a model of this package, or the package that runs it is missing.
        RuntimeError: this process was forked after TensorFlow had started.
    """
    environment.check_fork()
    file = locate(path)
    if file.is_dir():
        return Runner(*_saved_model(file))
    read = RUNNERS.get(file.suffix.lower())
    return Runner(*(read(file) if read else _keras(file, custom_objects)))


def folded(model):
    """The network without batch normalisation, which is faster, or itself if that is not possible."""
    return model if isinstance(model, keras.Sequential) else fold_batch_norms(model)


def _keras(file, custom_objects):
    model, metadata = model_file.load_model(file, custom_objects)
    model = folded(model)
    kernels.fuse(model)
    return lambda pixels: tf.cast(model(pixels, training=False), tf.float32), metadata


def _saved_model(folder):
    _check_operations(folder)
    try:
        loaded = tf.saved_model.load(folder)
    except (tf.errors.OpError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _damaged(folder, error) from error
    signature = loaded.signatures.get("serving_default")
    outputs = sorted(signature.structured_outputs) if signature else []
    file = folder / ASSETS
    metadata = _metadata(folder, outputs, file.read_text(encoding="utf-8") if file.is_file() else None)

    def features(pixels):
        # Through `loaded`: a signature alone does not keep the variables of its model alive.
        result = loaded.signatures["serving_default"](pixels=tf.cast(pixels, tf.float32))
        return result["embeddings"] * result["norm"][:, None]

    return features, metadata


def _check_operations(folder):
    """Raise ValueError if the graph of a SavedModel is none, or may do anything but compute."""
    try:
        saved = saved_model_pb2.SavedModel.FromString((folder / SAVED_MODEL).read_bytes())
    except DecodeError as error:
        raise _damaged(folder, error) from error
    try:
        operations.check(saved)
    except ValueError as error:
        raise ValueError(f"'{folder}' {error}. Export the model with tf-facenet export.") from None


def _onnx(file):
    if not importlib.util.find_spec("onnxruntime"):
        raise ValueError(f"'{file}' is an ONNX file; running it needs the package onnxruntime: pip install onnxruntime")
    import onnxruntime

    content = file.read_bytes()
    # The length of this key ends with one of two bytes, however it is written. What is text has neither.
    if re.search(rb"[\x00\x08]location", content):
        raise ValueError(f"'{file}' names other files for its weights, which are not read. Export the model with "
                         "tf-facenet export.")
    available = onnxruntime.get_available_providers()
    providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
    try:
        session = onnxruntime.InferenceSession(content, providers=providers)
    except Exception as error:  # each of its errors is a class of its own, without a common one
        raise _damaged(file, error) from error
    outputs = [output.name for output in session.get_outputs()]
    stored = session.get_modelmeta().custom_metadata_map.get(MEMBER)
    metadata = _metadata(file, outputs, stored)

    def run(pixels):
        embeddings, norm = session.run(OUTPUTS, {"pixels": pixels})
        return embeddings * norm[:, None]

    return _outside_tensorflow(run, metadata, tf.float32), metadata


def _tflite(file):
    try:
        custom = _custom_operations(file.read_bytes())
        runner = None if custom else _interpreter(file).get_signature_runner()
    except (ValueError, RuntimeError, struct.error) as error:
        raise _damaged(file, error) from error
    if custom:
        raise ValueError(f"'{file}' holds the operation {custom[0]:.60}, which is none of TFLite's own. Export the "
                         "model with tf-facenet export.")
    stored = None
    if zipfile.is_zipfile(file):  # the format's way to carry files is a zip archive behind the network
        with zipfile.ZipFile(file) as archive:
            stored = archive.read(MEMBER) if MEMBER in archive.namelist() else None
    metadata = _metadata(file, sorted(runner.get_output_details()), stored)
    one_at_a_time = threading.Lock()  # an interpreter has one set of maps

    def run(pixels):
        with one_at_a_time:
            result = runner(pixels=pixels)
        return result["embeddings"] * result["norm"][:, None]

    return _outside_tensorflow(run, metadata, runner.get_input_details()["pixels"]["dtype"]), metadata


def _custom_operations(content):
    """Names of the operations of a TFLite network that are not built in; "Flex" begins those of TensorFlow."""
    if importlib.util.find_spec("ai_edge_litert"):
        from ai_edge_litert.schema_py_generated import Model
    else:
        from tensorflow.lite.python.schema_py_generated import Model

    model = Model.GetRootAs(content)
    count = model.OperatorCodesLength()
    if 4 * count > len(content):
        raise ValueError(f"it claims {count} operations")
    names = [model.OperatorCodes(number).CustomCode() for number in range(count)]
    return [name.decode(errors="replace") for name in names if name is not None]


def _interpreter(file):
    """LiteRT's interpreter, or the one in TensorFlow, which ends with 2.21 or later, without it."""
    threads = os.cpu_count()
    if importlib.util.find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(str(file), num_threads=threads)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)
        return tf.lite.Interpreter(str(file), num_threads=threads)


RUNNERS = {".onnx": _onnx, ".tflite": _tflite}


def _metadata(path, outputs, stored):
    """The metadata of an export, or ValueError if it is somebody else's."""
    if outputs != OUTPUTS or stored is None:
        found = f"the outputs {', '.join(outputs) or 'none'} {'with' if stored else 'without'} metadata"
        raise ValueError(f"'{path}' is not an export of this package: expected the outputs {' and '.join(OUTPUTS)} and "
                         f"metadata ({MEMBER}), found {found}. Export the model with tf-facenet export.")
    metadata = parse(stored, path)
    sizes = metadata.get("image_size"), [metadata.get("embedding_size")]
    if not all(isinstance(size, list) and all(isinstance(side, int) and side > 0 for side in size) for size in sizes):
        raise ValueError(f"'{path}' says image_size {sizes[0]!r:.40} and embedding_size {sizes[1][0]!r:.40}; expected "
                         "height and width, and a number. Export the model with tf-facenet export.")
    return metadata


def _outside_tensorflow(run, metadata, dtype):
    """A function of TensorFlow operations that calls `run`, pixels → features in NumPy."""
    def features(pixels):
        pixels = tf.convert_to_tensor(pixels)
        if dtype == tf.uint8:
            pixels = tf.saturate_cast(tf.round(pixels), dtype)
        found = tf.numpy_function(run, [tf.cast(pixels, dtype)], tf.float32)
        return tf.ensure_shape(found, [None, metadata["embedding_size"]])

    return features


def _damaged(file, error):
    reason = " ".join(str(error).split()).rstrip(".")
    return ValueError(f"'{file}' is not a {file.suffix or 'SavedModel'} file or only a part of one: {reason:.200}. "
                      "Export it again.")
