"""Center loss (Wen et al., ECCV 2016) by facenet's rule."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tf_facenet")
class CenterLoss(keras.layers.Layer):
    """Mean squared distance of features to the centres c of their classes, which follow them.

    loss = mean over B and D of (f − c_y)²; then c_y ← c_y − (1 − alfa)(c_y − f) for each row, so
    that n rows of one class move its centre n times. The loss uses the centres before the move.
    Centres start at zero and get no gradient.

    The paper divides a class's move by 1 + n; facenet does not, and its sum over rows is what
    stays exact when the rows are spread over replicas. Facenet's optimizer also touched the
    centres (by 1e-6 a step); here only the rule does.

    Call: features [B, D], labels [B] → scalar. Centres move only with ``training=True``.
    Source: facenet src/facenet.py, ``center_loss``.
    """

    def __init__(self, num_classes, embedding_size, alfa=0.95, name="center_loss", **kwargs):
        super().__init__(name=name, dtype="float32", **kwargs)
        self.num_classes = num_classes
        self.embedding_size = embedding_size
        self.alfa = alfa
        # Each replica adds the moves of its own rows: aggregation "sum" makes that one update.
        self.centers = self.add_weight(
            name="centers", shape=(num_classes, embedding_size), initializer="zeros",
            trainable=False, aggregation="sum")
        self.built = True

    def call(self, features, labels, training=False):
        offsets = ops.take(self.centers, labels, axis=0) - ops.cast(features, "float32")
        loss = ops.mean(ops.square(offsets))
        if training:
            self._move(labels, (1.0 - self.alfa) * ops.stop_gradient(offsets))
        return loss

    def _move(self, labels, steps):
        moves = ops.segment_sum(steps, labels, num_segments=self.num_classes)
        # Keras' own assign_sub assigns the difference, and "sum" would add whole matrices; the
        # TensorFlow variable's adds the moves. Other backends have no aggregation.
        value = self.centers.value
        (value if hasattr(value, "assign_sub") else self.centers).assign_sub(moves)

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        return {**config, "num_classes": self.num_classes,
                "embedding_size": self.embedding_size, "alfa": self.alfa}
