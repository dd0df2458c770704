"""Other people's weights: files of PyTorch, TensorFlow 1 and ONNX → the networks of this package."""

from tf_facenet import environment

environment.check_keras()

from tf_facenet.weights.conversion import convert  # noqa: E402  (Keras' settings first)

__all__ = ["convert"]
