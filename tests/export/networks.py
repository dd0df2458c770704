"""One small network of each kind of backbone, its statistics those of a few drawn faces."""

import functools

import keras

from tf_facenet import backbones
from tf_facenet.data import drawn

NETWORKS = {  # name → what makes it small
    "small": {"standardization": "per_image"},
    "mobilenet_v1": {"alpha": 0.25},
    "mobilenet_v3": {},
    "mobilefacenet": {},
    "iresnet18": {},
    "swin_t": {"depths": (1, 1, 1, 1)},
}
TRANSPOSES = {"swin_t": 40}  # most that may stay in ONNX; attention needs some


@functools.cache
def create(name):
    keras.utils.set_random_seed(5)
    network = backbones.create(name, 32, 16, **NETWORKS[name])
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(drawn.draw_images(range(8), [0] * 8, 32).astype("float32"), training=True)
    return network
