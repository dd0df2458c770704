"""How a last map [B, H, W, C] becomes one vector for each image [B, C'], before the last layer; see `Blocks`."""

from keras import layers


def _gdc(parts, x):
    """MobileFaceNet's end: a depthwise convolution over the whole map weighs every place of a face."""
    x = layers.DepthwiseConv2D(x.shape[1:3], use_bias=False, name="GDC")(x)
    return layers.Flatten(name="Flatten")(parts.batch_norm(x, "GDC"))


def _flatten_bn(parts, x):
    """ArcFace's end: the last layer has weights of its own for every place; many parameters."""
    return layers.Flatten(name="Flatten")(parts.batch_norm(x, "Neck"))


def _pool(_, x):
    """The mean over all places; few parameters, any place counts the same."""
    return layers.GlobalAveragePooling2D(name="Pool")(x)


NECKS = {"gdc": _gdc, "flatten_bn": _flatten_bn, "pool": _pool}
