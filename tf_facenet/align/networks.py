"""The three networks of MTCNN as functions in the graph, with the weights of the `mtcnn` package.

The second and the third are the package's Keras models. The first, which most of the time goes to, is computed here in
another order with the same result; see `_FirstLayer`.
"""

import numpy as np
import tensorflow as tf

from tf_facenet import environment

_OUTSIDE = -1e6  # what lies outside a picture adds so much to the first layer's values, so that no maximum takes them


def load():
    """Make the networks.

    Returns:
        ``(propose, refine, decide)``. `propose` takes `pyramid.Sheets` pixels and owners and a threshold, and gives for
        all 12×12 pixels with a higher score the tile [n], the place [n, 2] in strides from the sheet's top and left,
        the score [n] and shifts of the four sides [n, 4]. `refine` takes patches float32 [n, 24, 24, 3] in 0..255 and
        gives scores [n] and shifts [n, 4]; `decide` takes [n, 48, 48, 3] and gives landmarks [n, 10] also, first all x.

    Raises:
        OSError: the package is not installed, or cannot be used here.
        ValueError: Keras has other settings than this package needs.
        RuntimeError: see `environment.check_fork`.
    """
    environment.check_keras()
    environment.check_fork()
    try:
        from mtcnn.network import onet, rnet
        from mtcnn.utils.tensorflow import load_weights
    except ModuleNotFoundError:
        raise OSError("finding faces needs the package 'mtcnn': pip install 'mtcnn>=1.0'") from None
    except ImportError as error:
        raise OSError(f"finding faces needs tf.keras: {error}; unset TF_USE_LEGACY_KERAS, which asks for an older "
                      "Keras") from None
    models = {"rnet.lz4": rnet.RNet(), "onet.lz4": onet.ONet()}
    for name, model in models.items():
        model.build()
        model.set_weights(load_weights(name))
    refine, decide = (_on_patches(model, side) for model, side in zip(models.values(), (24, 48), strict=True))
    return _propose(load_weights("pnet.lz4")), refine, decide


def _on_patches(model, side):
    @tf.function(input_signature=[tf.TensorSpec([None, side, side, 3])])
    def call(patches):
        count = tf.shape(patches)[0]
        *places, scores = model((_at_least_one(patches) - 127.5) / 128)
        return scores[:count, 1], *(values[:count] for values in places)

    return call


def _at_least_one(batch, filling=0):
    """The batch, or one made up in place of none, of which oneDNN's convolutions tell a wrong shape."""
    missing = tf.cast(tf.shape(batch)[:1] == 0, tf.int32)
    # Not tf.pad, which would be joined with the convolution.
    return tf.concat([batch, tf.fill(tf.concat([missing, tf.shape(batch)[1:]], 0), tf.cast(filling, batch.dtype))], 0)


def _propose(weights):
    kernel1, bias1, alpha1, kernel2, bias2, alpha2, kernel3, bias3, alpha3, kernel4, bias4, kernel5, bias5 = weights
    first = _FirstLayer(kernel1, bias1, alpha1.ravel())
    kernel2 = kernel2[:, :, first.order]
    score, score_bias = kernel5[..., 1:] - kernel5[..., :1], bias5[1] - bias5[0]  # softmax of two = sigmoid

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 4]), tf.TensorSpec([None, None, None], tf.int32),
                                  tf.TensorSpec([])])
    def propose(pixels, owner, threshold):
        seen, owner = first(_at_least_one(pixels)), _at_least_one(owner, -1)
        seen = _prelu(_convolve(seen, kernel2) + bias2, alpha2.ravel())
        seen = _prelu(_convolve(seen, kernel3) + bias3, alpha3.ravel())
        scores = tf.sigmoid(_convolve(seen, score)[..., 0] + score_bias)
        where = tf.where((scores > threshold) & (owner >= 0))
        tiles, scores, seen = (tf.gather_nd(values, where) for values in (owner, scores, seen))
        return tiles, where[:, 1:], scores, seen @ kernel4[0, 0] + bias4

    return propose


class _FirstLayer:
    """A 3×3 convolution, PReLU, and the maximum over 2×2, at a quarter of the places.

    One 4×4 convolution of stride 2 gives all four values that a maximum is taken of. PReLU rises where its slope a
    below zero is positive, so it can wait until after the maximum. Elsewhere PReLU(x) = max(x, −a · −x), the maximum of
    two values that rise; −x is one more channel of the convolution. Pixels are taken as they are, 0..255, and a fourth
    channel says what is outside of any picture.

    Attributes:
        order: channels of the result in terms of those of the kernel: first those with positive slopes.
    """

    def __init__(self, kernel, bias, slopes):
        self.order = np.argsort(slopes < 0, kind="stable")
        self.rising = np.count_nonzero(slopes >= 0)
        self.slopes = slopes[self.order]
        kernel, bias = kernel[..., self.order], bias[self.order]
        kernel = np.concatenate([kernel, -kernel[..., self.rising :]], axis=-1)
        self.bias = np.concatenate([bias, -bias[self.rising :]]) - kernel.sum(axis=(0, 1, 2)) * 127.5 / 128
        kernel = np.concatenate([kernel / 128, np.full_like(kernel[:, :, :1], _OUTSIDE)], axis=2)
        wide = np.zeros((4, 4, 4, 2, 2, kernel.shape[-1]), np.float32)
        for y, x in np.ndindex(2, 2):
            wide[y : y + 3, x : x + 3, :, y, x] = kernel
        self.kernel = wide.reshape(4, 4, 4, -1)

    def __call__(self, pixels):
        """[s, h, w, 4] → [s, h / 2 - 1, w / 2 - 1, channels]."""
        values = _convolve(pixels, self.kernel, stride=2)
        values = tf.reshape(values, tf.concat([tf.shape(values)[:3], [4, len(self.bias)]], axis=0))
        values = tf.reduce_max(values, axis=3) + self.bias
        rising, falling, mirrored = tf.split(values, [self.rising, *[len(self.slopes) - self.rising] * 2], axis=-1)
        falling = tf.maximum(falling, -self.slopes[self.rising :] * mirrored)
        return tf.concat([_prelu(rising, self.slopes[: self.rising]), falling], axis=-1)


def _convolve(values, kernel, stride=1):
    return tf.nn.conv2d(values, kernel, stride, "VALID")


def _prelu(values, slopes):
    return tf.maximum(values, 0) + slopes * tf.minimum(values, 0)
