"""Checkpoints and frozen graphs of TensorFlow 1."""

import numpy as np
import pytest
import tensorflow as tf

from tf_facenet.weights import source, tf1

RNG = np.random.default_rng(1)
VARIABLES = {f"InceptionResnetV1/Conv2d_1a_3x3/{leaf}": RNG.standard_normal(shape).astype("f4") for leaf, shape in {
    "weights": (3, 3, 3, 32), "BatchNorm/beta": (32,), "BatchNorm/moving_mean": (32,)}.items()}


def write_checkpoint(prefix, variables):
    """The files of a checkpoint that TensorFlow 1's Saver writes, without its .meta."""
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=list(variables), shape_and_slices=[""] * len(variables),
                      tensors=[tf.constant(value) for value in variables.values()])
    return prefix


def graph(variables):
    """A frozen graph, such as freeze_graph writes: constants and the nodes that read them."""
    made = tf.compat.v1.GraphDef()
    made.node.add(name="image_batch", op="Placeholder")
    for name, value in variables.items():
        made.node.add(name=name, op="Const").attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        made.node.add(name=f"{name}/read", op="Identity", input=[name])
    made.node.add(name="axis", op="Const").attr["value"].tensor.CopyFrom(tf.make_tensor_proto(3))
    return made


def assert_equal(read, variables=VARIABLES):
    assert set(read) == set(variables)
    for name, value in variables.items():
        np.testing.assert_array_equal(read[name], value)


def test_checkpoint_by_any_of_its_names(tmp_path):
    prefix = write_checkpoint(tmp_path / "model.ckpt-275", VARIABLES)
    for name in (prefix, f"{prefix}.index", f"{prefix}.data-00000-of-00001", f"{prefix}.meta", tmp_path):
        assert_equal(source.read(name))


def test_frozen_graph(tmp_path):
    (tmp_path / "model.pb").write_bytes(graph(VARIABLES).SerializeToString())
    assert_equal(source.read(tmp_path / "model.pb"))
    assert_equal(source.read(tmp_path))


@pytest.mark.parametrize("part", ["data-00000-of-00001", "index"])
def test_parts_of_a_checkpoint(tmp_path, part):
    prefix = write_checkpoint(tmp_path / "model.ckpt", VARIABLES)
    file = tmp_path / f"model.ckpt.{part}"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(OSError, match=r"checkpoint '.*model.ckpt' is damaged or not whole") as caught:
        source.read(prefix)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_data(tmp_path):
    prefix = write_checkpoint(tmp_path / "model.ckpt", VARIABLES)
    (tmp_path / "model.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(OSError, match=r"its .data files have 0"):
        source.read(prefix)


def test_a_graph_without_weights(tmp_path):
    (tmp_path / "model.pb").write_bytes(graph({}).SerializeToString())
    with pytest.raises(ValueError, match="has 2 nodes and no weights among them; expected constants such as Incep"):
        source.read(tmp_path / "model.pb")


def test_a_part_of_a_graph(tmp_path):
    data = graph(VARIABLES).SerializeToString()
    (tmp_path / "model.pb").write_bytes(data[:-100])
    with pytest.raises(ValueError, match="is no TensorFlow graph, or only a part of one"):
        source.read(tmp_path / "model.pb")


def test_one_value_that_stands_for_many(tmp_path):
    """A constant of a few bytes may say that it is of any shape."""
    made = graph({"a/weights": np.float32(1)})
    tensor = made.node[1].attr["value"].tensor
    tensor.ClearField("tensor_content")
    tensor.float_val[:] = [1.0]
    tensor.tensor_shape.dim.add(size=10**12)
    (tmp_path / "model.pb").write_bytes(made.SerializeToString())
    with pytest.raises(ValueError, match=r"constant a/weights of shape \[1000000000000\] is larger than the file"):
        source.read(tmp_path / "model.pb")


def test_no_checkpoint(tmp_path):
    assert tf1.prefix(tmp_path / "model.ckpt") is None
    with pytest.raises(FileNotFoundError, match="No weights at '.*model.ckpt'; expected a PyTorch file"):
        source.read(tmp_path / "model.ckpt")
