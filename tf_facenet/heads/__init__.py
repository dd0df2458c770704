"""Heads: (features [B, D], labels [B]) → (logits [B, C], targets [B])."""

from tf_facenet.heads.softmax import Softmax
from tf_facenet.lookup import lookup

HEADS = {"softmax": Softmax}


def create(name, num_classes, embedding_size, **options):
    """Build a head by name.

    Args:
        name: an entry of `HEADS`.
        num_classes: number of classes C.
        embedding_size: width D of the features.
        **options: what the head's class takes.

    Returns:
        A built Keras layer: ``logits, targets = head(features, labels)``.
    """
    head = lookup(HEADS, name, "head")(num_classes, **options)
    head.build((None, embedding_size))
    return head
