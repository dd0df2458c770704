"""Other people's weights: files of PyTorch, TensorFlow 1 and ONNX → the networks of this package."""

from tf_facenet.weights.conversion import convert

__all__ = ["convert"]
