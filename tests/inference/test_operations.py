"""SavedModels of strangers: small graphs that would touch a canary, all refused before anything of them runs."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.core.protobuf import saved_model_pb2

from tests import tiny
from tests.export import networks
from tf_facenet.export import saved_model
from tf_facenet.inference import operations, runners
from tf_facenet.inference.metadata import ASSETS

pytestmark = pytest.mark.filterwarnings("ignore")


def _write(canary):
    tf.io.write_file(str(canary), "x")


def _write_in_a_branch(canary):
    tf.cond(tf.random.uniform([]) >= 0, lambda: _write(canary) or 1, lambda: 0)


def _write_in_a_loop(canary):
    tf.while_loop(lambda i: i < 2, lambda i: (_write(canary), i + 1)[1:], [0])


def _write_in_a_data_set(canary):
    tf.data.Dataset.range(1).map(lambda row: _write(canary) or row).get_single_element()


def _save(canary):
    tf.raw_ops.SaveV2(prefix=str(canary), tensor_names=["x"], shape_and_slices=[""], tensors=[tf.ones(2)])


# What a graph does with a canary → (how, the operation by which it is refused).
REACHING = {
    "write": (_write, "WriteFile"),
    "write in a branch": (_write_in_a_branch, "WriteFile"),
    "write in a loop": (_write_in_a_loop, "WriteFile"),
    "write in a data set": (_write_in_a_data_set, "WriteFile"),
    "save a tensor": (_save, "SaveV2"),
    "keep a data set": (lambda canary: tf.data.Dataset.range(1).cache(str(canary)).get_single_element(),
                        "CacheDatasetV2|DummyMemoryCache"),
    "call Python": (lambda canary: tf.py_function(lambda: canary.touch(), [], []), "EagerPyFunc"),
    "read": (lambda canary: tf.io.read_file(str(canary)), "ReadFile"),
    "look for files": (lambda canary: tf.io.matching_files(str(canary)), "MatchingFiles"),
    "print": (lambda canary: tf.print(str(canary)), "PrintV2"),
    "nothing bad, by an operation that is not listed": (lambda canary: tf.timestamp(), "Timestamp"),
}


def write_model(folder, do=lambda: None, **parts):
    """A SavedModel that looks like an export and does something more."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], name="pixels")], autograph=False)
    def serve(pixels):
        do()
        return {"embeddings": pixels[:, 0, 0, :2], "norm": pixels[:, 0, 0, 0]}

    module.weight = tf.Variable(1.0)
    for name, part in parts.items():
        setattr(module, name, part)
    tf.saved_model.save(module, folder, {"serving_default": serve})
    (folder / ASSETS).parent.mkdir()
    (folder / ASSETS).write_text(json.dumps({"image_size": [8, 8], "embedding_size": 2}))
    return folder


def read(folder):
    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())


@pytest.mark.parametrize("name", REACHING)
def test_graphs_that_do_more_than_compute(name, tmp_path, monkeypatch):
    do, operation = REACHING[name]
    canary = tmp_path / "canary"
    folder = write_model(tmp_path / "model", lambda: do(canary))
    monkeypatch.setattr(tf.saved_model, "load", None)  # nothing gets that far
    with pytest.raises(ValueError, match=rf"model' holds the operation ({operation}) \(node .*\).*Export the model"):
        runners.load(folder)
    assert not list(tmp_path.glob("canary*"))


def test_what_would_run_while_it_is_loaded(tmp_path):
    """A table is filled from a file when a SavedModel that has it is loaded."""
    (tmp_path / "words.txt").write_text("a\n")
    table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(
        tmp_path / "words.txt", tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER), 0)
    with pytest.raises(ValueError, match="operation (HashTableV2|InitializeTableFromTextFileV2)"):
        runners.load(write_model(tmp_path / "model", table=table))


def _name(meta, save):
    meta.object_graph_def.concrete_functions[save].SetInParent()


def _restore_an_object(meta, save):
    meta.object_graph_def.nodes.add().function.concrete_functions.append(save)


def _call(meta, save):
    _signature(meta).node_def.add(name="call", op="PartitionedCall").attr["f"].func.name = save


def _call_one_of_several(meta, save):
    _signature(meta).node_def.add(name="call", op="Case").attr["branches"].list.func.add().name = save


def _pass_on(meta, save):
    passed = _signature(meta).node_def.add(name="call", op="PartitionedCall").attr["f"].func
    passed.name = "__inference_other"
    passed.attr["g"].func.name = save


def _use_as_an_operation(meta, save):
    _signature(meta).node_def.add(name="call", op=save)


def _write_beside(meta, save):
    function = meta.graph_def.library.function.add()
    function.signature.name = "__inference_nobody_calls"
    function.node_def.add(name="write", op="SaveV2")


def _write_around(meta, save):
    meta.graph_def.node.add(name="write", op="SaveV2")


def _signature(meta):
    named = set(meta.object_graph_def.concrete_functions)
    return next(one for one in meta.graph_def.library.function if one.signature.name in named)


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("harmless") / "model")


def test_a_graph_that_only_computes(harmless):
    pixels = np.ones((2, 8, 8, 3), "float32")
    np.testing.assert_array_equal(runners.load(harmless)(pixels), np.ones((2, 2)))


@pytest.mark.parametrize("change", [_name, _restore_an_object, _call, _call_one_of_several, _pass_on,
                                    _use_as_an_operation, _write_beside, _write_around], ids=lambda one: one.__name__)
def test_variables_are_saved_only_where_nobody_runs_it(harmless, change):
    """Each SavedModel has functions that save and restore its variables. TensorFlow does not run them to load it."""
    saved = read(harmless)
    meta, = saved.meta_graphs
    save, = (function.signature.name for function in meta.graph_def.library.function
             if any(node.op == "SaveV2" for node in function.node_def))
    operations.check(saved)
    change(meta, save)
    with pytest.raises(ValueError, match="holds the operation (SaveV2|ShardedFilename|Merge.*|__inference)"):
        operations.check(saved)


def test_graphs_of_tensorflow_1_and_several(harmless):
    """The graph itself of such a SavedModel runs when it is loaded."""
    saved = read(harmless)
    saved.meta_graphs.add()
    with pytest.raises(ValueError, match="has the form of TensorFlow 1"):
        operations.check(saved)
    del saved.meta_graphs[1]
    saved.meta_graphs[0].ClearField("object_graph_def")
    with pytest.raises(ValueError, match="has the form of TensorFlow 1"):
        operations.check(saved)


def test_exports_of_this_package_are_let_through(tmp_path):
    module, _ = networks.create("swin_t")
    tf.saved_model.save(module, tmp_path, saved_model._signatures(module.embed))
    operations.check(read(tmp_path))


def test_plain_keras_exports_are_let_through(tmp_path):
    """Layers as those of Keras' own networks, and others that face networks have been made of."""
    pixels = keras.Input((16, 16, 3))
    seen = layers.Normalization(mean=[0.0] * 3, variance=[1.0] * 3)(layers.Resizing(12, 12)(pixels))
    seen = layers.Rescaling(1 / 127.5, -1)(layers.RandomFlip()(seen))
    seen = layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(seen))
    seen = layers.ReLU(6)(layers.DepthwiseConv2D(3, padding="same")(layers.PReLU(shared_axes=[1, 2])(seen)))
    gate = layers.Dense(8, "hard_sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(seen))
    seen = layers.Activation("hard_swish")(layers.Multiply()([seen, gate]))
    seen = layers.UpSampling2D(interpolation="bilinear")(layers.ZeroPadding2D()(layers.MaxPooling2D()(seen)))
    words = layers.LayerNormalization()(layers.Reshape((-1, 8))(seen))
    words = layers.Dense(8, "gelu")(layers.MultiHeadAttention(2, 4)(words, words))
    features = layers.Concatenate()([layers.GlobalAveragePooling1D()(words), layers.GRU(2)(words)])
    model = keras.Model(pixels, layers.UnitNormalization()(layers.Dropout(0.5)(features)))
    model.export(tmp_path / "plain", verbose=False)
    operations.check(read(tmp_path / "plain"))
    tiny.create(8, 2).export(tmp_path / "tiny", verbose=False)
    operations.check(read(tmp_path / "tiny"))
