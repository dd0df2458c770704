"""Other people's weights: files of PyTorch, TensorFlow 1 and ONNX → the networks of this package."""
