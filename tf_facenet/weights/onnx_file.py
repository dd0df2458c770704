"""Initialisers of ONNX files, by the package onnx."""

FOLDED = "onnx::"  # how PyTorch's exporter calls what it computed: a convolution with its normalisation folded in


def read(path):
    """The named weights of an ONNX file.

    Returns:
        dict: name → array.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no ONNX file or not whole, the package onnx is missing, or the weights have lost their names.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx import numpy_helper
    except ImportError:
        raise ValueError(f"'{path}' is an ONNX file; reading it needs the package onnx: pip install onnx") from None
    try:
        graph = onnx.load(path).graph
        arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        lost = sorted(name for name in arrays if name.startswith(FOLDED) or name.isdecimal())
    except (DecodeError, ValueError, TypeError, KeyError, onnx.checker.ValidationError) as error:
        raise ValueError(f"'{path}' is no ONNX file, or only a part of one: {' '.join(str(error).split())}") from None
    if lost:
        raise ValueError(
            f"ONNX file '{path}': {len(lost)} of {len(arrays)} initialisers have no names of a state dict, such as "
            f"{', '.join(lost[:3])}: its exporter folded normalisation into the convolutions. Convert the PyTorch "
            "file, or export it again with training=torch.onnx.TrainingMode.PRESERVE and do_constant_folding=False")
    if not arrays:
        raise ValueError(f"ONNX file '{path}' has no initialisers; expected a network with its weights")
    return arrays
