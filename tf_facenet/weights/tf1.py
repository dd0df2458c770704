"""Variables of TensorFlow 1: checkpoints and frozen graphs. No session, no import of the graph."""

import math
from pathlib import Path

SUFFIXES = (".index", ".meta", ".data-00000-of-00001")  # of the files of a checkpoint
LEAVES = ("weights", "biases", "beta", "gamma", "moving_mean", "moving_variance")


def prefix(path):
    """The checkpoint that a path names, by its prefix or by one of its files; None if there is none."""
    text = next((str(path).removesuffix(suffix) for suffix in SUFFIXES if str(path).endswith(suffix)), str(path))
    return text if Path(f"{text}.index").is_file() else None


def read_checkpoint(path):
    """All variables of a checkpoint.

    Args:
        path: its prefix, such as ``…/model-20180402-114759.ckpt-275``.

    Returns:
        dict: name → array.

    Raises:
        OSError: it is damaged or not whole.
    """
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(path)
        shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        wanted = sum(math.prod(shape) * types[name].size for name, shape in shapes.items())
        stored = sum(file.stat().st_size for file in Path(path).parent.glob(f"{Path(path).name}.data-*"))
        if wanted > stored:
            raise OSError(f"its index names {wanted:,} bytes, its .data files have {stored:,}")
        return {name: reader.get_tensor(name) for name in shapes}
    except (tf.errors.OpError, OSError, ValueError, RuntimeError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise OSError(f"TensorFlow checkpoint '{path}' is damaged or not whole: {reason}") from None


def read_graph(path):
    """The variables that a frozen graph holds as constants of their names.

    Returns:
        dict: name → array.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no frozen graph, or not whole.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    data = Path(path).read_bytes()
    try:
        graph = tf.compat.v1.GraphDef.FromString(data)
    except DecodeError:
        raise ValueError(f"'{path}' is no TensorFlow graph, or only a part of one; expected a frozen .pb as facenet's "
                         "freeze_graph.py writes it") from None
    read = {node.name for node in graph.node if node.op == "Identity"}
    constants = {node.name: node.attr["value"].tensor for node in graph.node if node.op == "Const" and (
        f"{node.name}/read" in read or node.name.rpartition("/")[2] in LEAVES)}
    if not constants:
        raise ValueError(f"TensorFlow graph '{path}' has {len(graph.node)} nodes and no weights among them; expected "
                         "constants such as InceptionResnetV1/Conv2d_1a_3x3/weights, as in a frozen graph")
    return {name: _array(path, name, tensor, len(data)) for name, tensor in constants.items()}


def _array(path, name, tensor, limit):
    sides = [dim.size for dim in tensor.tensor_shape.dim]
    # One value may stand for all of a constant, of any shape.
    if min(sides, default=0) < 0 or math.prod(sides) > limit:
        raise ValueError(f"TensorFlow graph '{path}': the constant {name} of shape {sides} is larger than the file")
    import tensorflow as tf

    try:
        return tf.make_ndarray(tensor)
    except (TypeError, ValueError) as error:
        raise ValueError(f"TensorFlow graph '{path}': the constant {name} cannot be read: {error}") from None
