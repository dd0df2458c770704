"""Losses of feature vectors."""

from tf_facenet.losses.center import CenterLoss
from tf_facenet.losses.distances import DISTANCES
from tf_facenet.losses.penalties import kernel_decay, prelogits_norm
from tf_facenet.losses.triplet import MININGS, TripletLoss

__all__ = ["DISTANCES", "MININGS", "CenterLoss", "TripletLoss", "kernel_decay", "prelogits_norm"]
