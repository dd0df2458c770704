"""The plain linear head of facenet: logits = f W + b."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tf_facenet")
class Softmax(keras.layers.Layer):
    """Dense layer with bias, glorot-uniform kernel, float32 under any dtype policy.

    Call: features [B, D], labels [B] → logits [B, C], targets [B] (the labels).
    Source: facenet src/train_softmax.py, variable scope ``Logits``.
    """

    def __init__(self, num_classes, name="Logits", **kwargs):
        super().__init__(name=name, dtype="float32", **kwargs)
        self.num_classes = num_classes

    def build(self, features_shape, labels_shape=None):
        self.kernel = self.add_weight(name="kernel", initializer="glorot_uniform",
                                      shape=(features_shape[-1], self.num_classes))
        self.bias = self.add_weight(name="bias", initializer="zeros", shape=(self.num_classes,))
        self.built = True

    def call(self, features, labels):
        return ops.matmul(ops.cast(features, "float32"), self.kernel) + self.bias, labels

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        return {**config, "num_classes": self.num_classes}
