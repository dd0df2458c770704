"""ONNX: a file that ONNX Runtime and many others run without this package and without TensorFlow.

Input `pixels` [B, H, W, 3] float32 RGB 0..255, outputs `embeddings` [B, D], rows of norm 1, and `norm` [B] of the
features before; B is free. The metadata are the property `tf_facenet.json` (`metadata_props`).

tf2onnx converts. Deliberate differences to calling it as Keras does: its optimisers work on the graph itself instead of
on copies, which is several times faster; what it does not know (erfc of GELU) or leaves in five operations (PReLU) is
rewritten here.
"""

import json

import numpy as np
import tensorflow as tf

from tf_facenet.inference.metadata import MEMBER
from tf_facenet.inference.runners import OUTPUTS

OPSET = 18  # ONNX Runtime 1.14 (2023) and newer
LEFT_OUT = {"einsum_optimizer"}  # slow, and ONNX Runtime computes Einsum as it is


def onnx(module, metadata, path):
    """Write a network.

    Args:
        module: see `network.embedding_module`.
        metadata: dict of what JSON holds; see `inference.model_file`.
        path: the file to write.

    Raises:
        OSError: the file cannot be written.
    """
    from tf2onnx import optimizer, tf_loader, tfonnx

    function = module.embed.get_concrete_function()
    inputs, outputs = ([tensor.name for tensor in tensors] for tensors in (function.inputs[:1], function.outputs))
    graph = tfonnx.process_tf_graph(
        _imported(tf_loader.from_function(function, inputs, outputs)), opset=OPSET, input_names=inputs,
        output_names=outputs, tensors_to_rename=dict(zip([*inputs, *outputs], ["pixels", *OUTPUTS], strict=True)),
        custom_op_handlers={"Erfc": (_erfc, [])})
    _fuse_prelu(graph)
    _spread_scalars(graph)
    chosen = {name: made for name, made in optimizer._get_optimizers().items() if name not in LEFT_OUT}
    proto = optimizer.optimize_graph(graph, catch_errors=False, optimizers=chosen).make_model("tf_facenet")
    _name_batch(proto)
    proto.metadata_props.add(key=MEMBER, value=json.dumps(metadata, ensure_ascii=False))
    path.write_bytes(proto.SerializeToString())


def _imported(graph_def):
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    return graph


def _erfc(graph, node, name, _arguments):
    """Erfc, which ONNX lacks: 1 - erf(x)."""
    from tf2onnx import utils

    one = graph.make_const(utils.make_name(name), np.float32(1)).output[0]
    graph.remove_node(name)
    erf = graph.make_node("Erf", node.input).output[0]
    graph.make_node("Sub", [one, erf], outputs=node.output, name=name)


def _fuse_prelu(graph):
    """relu(x) + c relu(-x), as Keras computes PReLU with the slopes -c, becomes one node."""
    from tf2onnx import utils

    for node in list(graph.get_nodes()):
        if node.type != "Add":
            continue
        kept, scaled = sorted(node.inputs, key=lambda part: part.type == "Mul")
        if kept.type != "Relu" or scaled.type != "Mul":
            continue
        negative, slope = sorted(scaled.inputs, key=lambda part: part.is_const())
        turned = negative.inputs[0] if negative.type == "Relu" else None
        if turned is None or turned.type != "Neg" or turned.input != kept.input or not slope.is_const():
            continue
        slopes = graph.make_const(utils.make_name(node.name), -slope.get_tensor_value(as_list=False)).output[0]
        graph.remove_node(node.name)
        graph.make_node("PRelu", [*kept.input, slopes], outputs=node.output, name=node.name)


def _spread_scalars(graph):
    """Constants [] that are added become [1]: the first optimiser cannot take them."""
    for node in graph.get_nodes():
        if node.type == "Add" and node.inputs[1].is_const():
            value = node.inputs[1].get_tensor_value(as_list=False)
            if value.ndim == 0:
                node.inputs[1].set_tensor_value(value.reshape(1))


def _name_batch(proto):
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
