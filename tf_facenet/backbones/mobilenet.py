"""MobileNets for faces: the convolutions of keras.applications, ended for embeddings.

V1 https://arxiv.org/abs/1704.04861, V2 https://arxiv.org/abs/1801.04381, V3 (large)
https://arxiv.org/abs/1905.02244. The end is MobileFaceNet's (https://arxiv.org/abs/1804.07573): a
depthwise convolution over the whole last map weighs every place of a face, where a mean would
treat its middle and its border alike.

Deliberate differences to keras.applications: pixels are standardised as for all backbones; batch
normalisation has facenet's momentum 0.995, because the moving statistics of Keras' 0.999 are not
usable before some thousand steps; every layer has a fixed name.
"""

import itertools

import keras
from keras import layers

from tf_facenet.backbones import blocks

MINIMUM_SIZE = 32


def mobilenet_v1(image_size, embedding_size, *, alpha=1.0, **kwargs):
    """Build MobileNet; `alpha` is the width multiplier, the rest is `backbones.create`'s."""
    return _build("mobilenet_v1", keras.applications.MobileNet,
                  image_size, embedding_size, alpha=alpha, **kwargs)


def mobilenet_v2(image_size, embedding_size, *, alpha=1.0, **kwargs):
    """Build MobileNetV2; `alpha` is the width multiplier, the rest is `backbones.create`'s."""
    return _build("mobilenet_v2", keras.applications.MobileNetV2,
                  image_size, embedding_size, alpha=alpha, **kwargs)


def mobilenet_v3(image_size, embedding_size, *, alpha=1.0, **kwargs):
    """Build MobileNetV3Large; `alpha` is the width multiplier, the rest is `backbones.create`'s."""
    def convolutions(**options):
        return keras.applications.MobileNetV3Large(include_preprocessing=False, **options)

    return _build("mobilenet_v3", convolutions,
                  image_size, embedding_size, alpha=alpha, **kwargs)


def _build(name, convolutions, image_size, embedding_size, *, alpha,
           standardization="fixed", keep_probability=1.0):
    images, x = blocks.pixels(image_size, standardization, MINIMUM_SIZE)
    x = convolutions(input_tensor=x, alpha=alpha, include_top=False, weights=None).output
    x = layers.DepthwiseConv2D(x.shape[1:3], use_bias=False, name="GDC")(x)
    x = layers.Flatten(name="Flatten")(blocks.batch_norm(x, "GDC"))
    features = blocks.bottleneck(x, embedding_size, keep_probability)
    return _with_fixed_names(keras.Model(images, features, name=name))


def _with_fixed_names(model):
    """The same network, with names for the activations that Keras numbers over the whole process.

    Batch normalisation gets facenet's momentum on the way.
    """
    number = itertools.count(1)

    def clone(layer):
        config = layer.get_config()
        if layer.name.startswith(("activation", "re_lu")):
            config["name"] = f"nonlinearity_{next(number)}"
        if isinstance(layer, layers.BatchNormalization):
            config["momentum"] = blocks.MOMENTUM
        return type(layer).from_config(config)

    return keras.models.clone_model(model, clone_function=clone)
