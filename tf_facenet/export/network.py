"""The function that every export holds: pixels → unit embeddings and the norms of the features."""

import keras
import tensorflow as tf

from tf_facenet.inference.embedder import unit_rows
from tf_facenet.inference.runners import folded


def in_float32(model):
    """The network, or its copy that computes in float32 if it was trained in mixed precision.

    What half precision gives depends on which operations a device fuses: it would differ from place
    to place, and saves nothing where exports run.
    """
    if all(layer.compute_dtype == "float32" for layer in model._flatten_layers()):
        return model
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in copy._flatten_layers():
        layer.dtype_policy = "float32"
    return copy


def prepared(model):
    """The network as it is exported: in float32, batch normalisation folded away."""
    return folded(in_float32(model))


def embedding_module(model):
    """The network as a `tf.Module`.

    Its function `embed` turns pixels [B, H, W, 3] float32 into embeddings [B, D], rows of norm 1, and norm [B].
    """
    pixels = tf.TensorSpec([None, *model.inputs[0].shape[1:]], tf.float32, "pixels")

    @tf.function(input_signature=[pixels])
    def embed(pixels):
        features = tf.cast(model(pixels, training=False), tf.float32)
        return {"embeddings": unit_rows(features), "norm": tf.norm(features, axis=-1)}

    module = tf.Module()
    module.embed = embed
    module.model_variables = [variable.value for variable in model.variables]  # as TensorFlow wants to find them
    return module
