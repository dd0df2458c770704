"""Which kind of file weights are in, by what it begins with."""

from pathlib import Path

from tf_facenet.weights import onnx_file, tf1, torch_file

# What a file begins with → its reader. Of the protocol buffers, a graph begins with its first node, an ONNX model
# with its version.
READERS = {
    torch_file.ZIP_START: torch_file.read,
    torch_file.PICKLE_START: torch_file.read,
    b"\x0a": tf1.read_graph,
    b"\x08": onnx_file.read,
}
EXPECTED = ("a PyTorch file (.pt, .pth, .ckpt) as torch.save writes it, a TensorFlow 1 checkpoint by its prefix, a "
            "frozen graph (.pb) or an ONNX file")


def read(path):
    """The named arrays of a file of weights, without ``module.`` before their names (PyTorch's DataParallel).

    Args:
        path: file; the prefix of a checkpoint; or a folder with one checkpoint or one frozen graph.

    Returns:
        dict: name → array, in the layout of its library.

    Raises:
        OSError: there is nothing, or it cannot be read.
        ValueError: it is none of these, damaged, or holds no weights.
    """
    path = _file(path)
    checkpoint = tf1.prefix(path)
    if checkpoint:
        return tf1.read_checkpoint(checkpoint)
    return {name.removeprefix("module."): array for name, array in _reader(path)(path).items()}


def kind(path):
    """The reader of a file, or None for a checkpoint."""
    path = _file(path)
    return None if tf1.prefix(path) else _reader(path)


def _reader(path):
    if not Path(path).exists():
        raise FileNotFoundError(f"No weights at '{path}'; expected {EXPECTED}")
    with open(path, "rb") as file:
        start = file.read(16)
    for magic, reader in READERS.items():
        if start.startswith(magic):
            return reader
    raise ValueError(f"'{path}' begins with {start!r}, so it is no file of weights that is known here; expected "
                     f"{EXPECTED}")


def _file(path):
    return _only(Path(path)) if Path(path).is_dir() else path


def _only(folder):
    """The one checkpoint or frozen graph in a folder."""
    found = sorted([*folder.glob("*.index"), *folder.glob("*.pb")])
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise ValueError(f"'{folder}' is a folder; expected one checkpoint (*.index) or one frozen graph (*.pb) in it, "
                         f"found {names}. Name the one you mean")
    return found[0]
