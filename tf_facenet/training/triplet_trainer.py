"""A backbone that is trained by triplets, and a head beside them if one is asked for."""

from keras import ops

from tf_facenet.heads.angles import norms
from tf_facenet.heads.head import Head
from tf_facenet.training import watch
from tf_facenet.training.trainer import FaceTrainer


class TripletTrainer(FaceTrainer):
    """Triplet loss on features of length 1, plus a factor times a head's cross-entropy.

    Args:
        backbone: images → features.
        triplet_loss: a `losses.TripletLoss`.
        images_per_person: images of one person in a batch.
        head: a built `heads.head.Head` for the features as they are, or None.
        head_factor: factor of its cross-entropy.
        weight_decay: w of w/2 · Σ kernels².
    """

    def __init__(self, backbone, triplet_loss, images_per_person, head=None, *, head_factor=1.0,
                 weight_decay=0.0):
        super().__init__(backbone, head or Head(0, "no_head"), weight_decay=weight_decay)
        self.triplet_loss = triplet_loss
        self.images_per_person = images_per_person
        self.head_factor = head_factor if head else 0.0

    def all_rows(self, rows):
        """Rows of all replicas; whoever runs several replaces this."""
        return rows

    def terms(self, features, labels, training=False):
        """The loss and its parts.

        Args:
            features: [B, D].
            labels: [B] integers.
            training: passed on to the head.

        Returns:
            dict of scalars: ``loss`` = ``triplet_loss`` + head_factor · ``xent`` + ``reg_loss``;
            with a head ``xent`` and ``accuracy``; ``active_share``, ``positive_distance`` and
            ``negative_distance`` of `TripletLoss.with_statistics`.
        """
        features = ops.cast(features, "float32")
        rows = self.all_rows(features)
        triplet, statistics = self.triplet_loss.with_statistics(
            self.all_rows(labels), rows / norms(rows)[:, None])
        terms = {"triplet_loss": triplet, **statistics, "reg_loss": ops.convert_to_tensor(self.decay())}
        loss = triplet + terms["reg_loss"]
        if self.head_factor:
            terms["xent"], terms["accuracy"] = self.head.cross_entropy(features, labels, training)
            loss = loss + self.head_factor * terms["xent"]
        return {"loss": loss, **terms}

    def line(self, terms):
        """What a log line says of a step."""
        names = {"loss": "Loss", "triplet_loss": "Triplet", "active_share": "Active",
                 "positive_distance": "Pos", "negative_distance": "Neg", "xent": "Xent", "accuracy": "Accuracy"}
        shown = [f"{title} {terms[name]:2.3f}" for name, title in names.items() if name in terms]
        return "\t".join([*shown, f"Lr {terms['learning_rate']:2.5f}"])

    def watch(self, patience, step):
        """What looks whether the embeddings collapse into one point."""
        return watch.CollapseWatch(self.triplet_loss)
