"""Other people's weights: files of PyTorch, TensorFlow 1 and ONNX → the networks of this package."""

from tf_facenet import environment

environment.check_keras()


def __getattr__(name):
    """`convert`, imported when it is first used: the names of the families are there without Keras."""
    if name != "convert":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tf_facenet.weights.conversion import convert

    return convert
