"""What images other programs feed their networks, and how a network here takes RGB 0..255 all the same.

The first convolution absorbs the difference: another mean and deviation per channel is another kernel and bias, BGR is
a kernel with its input channels turned round. The features are the same, and there is one way to feed all networks.
"""

import numpy as np
from keras import layers

from tf_facenet.backbones.standardize import STANDARDIZATIONS as OWN
from tf_facenet.lookup import lookup

# (mean, deviation) per channel in the program's own order.
AFFINE = {
    "insightface": (127.5, 127.5),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
STANDARDIZATIONS = {**OWN, **AFFINE}
ORDERS = {"RGB": slice(None), "BGR": slice(None, None, -1)}


def own(standardization):
    """The standardisation that the network here does: "fixed", from which a convolution makes any affine one.

    Raises:
        ValueError: there is no such standardisation.
    """
    lookup(STANDARDIZATIONS, standardization, "standardization")
    return "fixed" if standardization in AFFINE else standardization


def standardised(images, standardization, color_order):
    """Images RGB 0..255 [B, H, W, 3] as the program feeds them to its network, float32."""
    images = np.asarray(images, "float32")[..., lookup(ORDERS, color_order, "color order")]
    if standardization in AFFINE:
        mean, deviation = np.array(AFFINE[standardization], "float32")
        return (images - mean) / deviation
    return np.asarray(OWN[standardization](images), "float32")


def absorb(model, standardization, color_order):
    """Change the first convolution so that the network gives for RGB what the original gives for its own images.

    Raises:
        ValueError: there is no such color order, or the convolution has no bias or a border of zeros, where a shift of
            the pixels cannot go.
    """
    order = lookup(ORDERS, color_order, "color order")
    convolution = next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))
    kernel, *bias = convolution.get_weights()
    if standardization in AFFINE:
        mean, deviation = np.broadcast_arrays(*map(np.float64, AFFINE[standardization]), np.zeros(3))[:2]
        shift = (127.5 - mean) / deviation  # (x − mean)/deviation = 128/deviation · (x − 127.5)/128 + shift
        if shift.any() and not (bias and convolution.padding == "valid"):
            raise ValueError(f"The standardization {standardization!r} does not fit {model.name}, whose first "
                             "convolution has no bias or a border of zeros. Choose one of: "
                             f"{', '.join(sorted({*OWN, 'insightface'}))}.")
        bias = [value + np.einsum("hwio,i->o", kernel, shift) for value in bias]
        kernel = kernel * (128 / deviation)[:, None]
    convolution.set_weights([kernel[:, :, order], *bias])
