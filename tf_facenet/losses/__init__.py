"""Losses of feature vectors."""

from tf_facenet.losses.center import CenterLoss
from tf_facenet.losses.penalties import kernel_decay, prelogits_norm

__all__ = ["CenterLoss", "kernel_decay", "prelogits_norm"]
