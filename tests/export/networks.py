"""One small network of each kind of backbone, its statistics those of a few faces."""

import functools

import keras
import numpy as np

from tests.export.expected import outputs
from tf_facenet import backbones
from tf_facenet.data import drawn
from tf_facenet.export import network

TOLERANCE = 5e-4  # statistics of so few faces make rounding larger
NETWORKS = {  # name → what makes it small
    "small": {"standardization": "per_image"},
    "mobilenet_v1": {"alpha": 0.25},
    "mobilefacenet": {},
    "iresnet18": {},
    "swin_t": {"depths": (1, 1, 1, 1), "patch": 2},
}


@functools.cache
def faces():
    """uint8 [8, 32, 32, 3]."""
    return drawn.draw_images(range(8), [0] * 8, 32)


@functools.cache
def _model(name):
    keras.utils.set_random_seed(5)
    model = backbones.create(name, 32, 16, **NETWORKS[name])
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    if norms:
        model(faces().astype("float32"), training=True)
    return model


@functools.cache
def create(name):
    """(module to export, number of its PReLU layers)."""
    model = _model(name)
    num_prelu = sum(isinstance(layer, keras.layers.PReLU) for layer in model.layers)
    return network.embedding_module(network.prepared(model)), num_prelu


@functools.cache
def expected(name):
    """(embeddings [8, 16], norm [8]) of the faces, which differ."""
    embeddings, norm = outputs(_model(name), faces())
    assert np.ptp(embeddings, axis=0).max() > 0.01
    return embeddings, norm
