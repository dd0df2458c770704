"""The plain linear head of facenet: logits = f W + b."""

import keras
from keras import ops

from tf_facenet.heads.head import Head


@keras.saving.register_keras_serializable(package="tf_facenet")
class Softmax(Head):
    """Dense layer with bias and glorot-uniform kernel; its scores are its logits.

    Source: facenet src/train_softmax.py, variable scope ``Logits``.
    """

    def __init__(self, num_classes, name="Logits", **kwargs):
        super().__init__(num_classes, name, **kwargs)

    def build(self, features_shape, labels_shape=None):
        self.kernel = self.add_weight(name="kernel", initializer="glorot_uniform",
                                      shape=(features_shape[-1], self.num_classes))
        self.bias = self.add_weight(name="bias", initializer="zeros", shape=(self.num_classes,))
        self.built = True

    def scores(self, features, labels, training=False):
        return ops.matmul(ops.cast(features, "float32"), self.kernel) + self.bias, labels
