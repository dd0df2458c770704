"""A converted network beside its original on random images, where the original can be run."""

import keras
import numpy as np

from tf_facenet.weights import onnx_file, pixels, source

IMAGES = 4


def report(path, converted):
    """One line: the largest difference, or why there is none.

    Args:
        path: the file that was converted.
        converted: `conversion.Converted`.

    Raises:
        ValueError: the original takes or gives something else than the network.
    """
    if source.kind(path) is not onnx_file.read:
        return "Not compared: of originals only ONNX files can be run; this file was read as arrays"
    try:
        import onnxruntime
    except ImportError:
        return "Not compared: that needs the package onnxruntime: pip install onnxruntime"
    difference, largest = _difference(onnxruntime, path, converted)
    return (f"Largest difference to ONNX Runtime on {IMAGES} random images: {difference:.1e}, of features up to "
            f"{largest:.1e}")


def _difference(onnxruntime, path, converted):
    """(largest difference of the features, largest feature)."""
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, *converted.model.input_shape[1:])).astype("float32")
    fed = pixels.standardised(images, *converted.feeds).transpose(0, 3, 1, 2)
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        # One by one, as many exported networks take them.
        name = session.get_inputs()[0].name
        expected = np.concatenate([session.run(None, {name: np.ascontiguousarray(image[None])})[0] for image in fed])
    except Exception as error:  # of onnxruntime's own kinds
        reason = " ".join(str(error).split())
        raise ValueError(f"'{path}' cannot be run on images {list(fed.shape[1:])}: {reason}") from None
    features = keras.ops.convert_to_numpy(converted.model(images, training=False))
    if expected.shape != features.shape:
        raise ValueError(f"'{path}' gives an array {list(expected.shape)}; expected features {list(features.shape)}")
    if np.allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-3):
        features = features / np.linalg.norm(features, axis=1, keepdims=True)
    return np.abs(features - expected).max(), np.abs(expected).max()
