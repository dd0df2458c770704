"""Images → embeddings: the one way that validation, training and the commands share."""

import os

from tf_facenet import environment

environment.check_keras()  # with some settings Keras cannot be imported

# ruff: noqa: E402
import keras
import numpy as np
import tensorflow as tf

from tf_facenet.data.augment import Augmentation
from tf_facenet.data.in_order import evaluation_batches
from tf_facenet.inference import photographs, runners
from tf_facenet.inference.metadata import complete
from tf_facenet.lookup import lookup
from tf_facenet.threads import in_order


def unit_rows(features):
    """Rows [B, D] scaled to norm 1: f / sqrt(max(Σf², 1e-10)), facenet's rule; zeros stay zeros."""
    return tf.math.l2_normalize(features, axis=-1, epsilon=1e-10)


def _none(features, _mirrored_features):
    return unit_rows(features)


def _concat(features, mirrored_features):
    return tf.concat([unit_rows(features), unit_rows(mirrored_features())], axis=-1)


def _sum(features, mirrored_features):
    return unit_rows(features + mirrored_features())


FLIPS = {"none": _none, "concat": _concat, "sum": _sum}
# Batches that are embedded side by side: between the operations of one alone the cores wait for each other.
SIDE_BY_SIDE = 2


def with_norm_1(rows, flip):
    """Rows of `Embedder.embed` brought to norm 1, as those are that thresholds and galleries are of."""
    return rows / 2**0.5 if flip == "concat" else rows


class Embedder:
    """Turns face images into embeddings with a trained network.

    The weights are read at each call, so that an Embedder made before training follows it.

    Args:
        model: a `keras.Model` (run in inference mode), or a function of TensorFlow operations:
            images [B, H, W, 3] RGB 0..255 → features [B, D], not normalised.
        metadata: dict with at least `image_size`, [H, W].
        batch_size: at most so many images go through the network together; two such batches are computed side by side.
        place: where larger images are cropped, see `data.images.crop`.

    Raises:
        ValueError: the batch size is not positive.
    """

    def __init__(self, model, metadata, batch_size=100, place=Augmentation.place):
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected at least 1.")
        self.metadata = complete(metadata)
        self.batch_size, self.place = batch_size, place
        self._model = model
        self._embed = tf.function(self._embeddings_and_norms, autograph=False)

    @classmethod
    def load(cls, path, batch_size=100, place=Augmentation.place, custom_objects=None):
        """The Embedder of a run folder, a `.keras` file or an export.

        Args:
            path: where it is.
            batch_size: see the class.
            place: see the class.
            custom_objects: dict name → class of layers of one's own that the network has, as Keras takes them.

        Raises:
            OSError: nothing is there, or it cannot be read.
            ValueError: it is not a model, or not one that embeds images.
        """
        runner = runners.load(path, custom_objects)
        return cls(runner, runner.metadata, batch_size, place)

    @property
    def image_size(self):
        """(height, width) of the network's images."""
        return tuple(self.metadata["image_size"])

    @property
    def threshold(self):
        """Squared distance of embeddings below which two faces are the same person's; None if nobody has chosen it."""
        threshold = self.metadata["threshold"]
        if not threshold:
            return None
        value = threshold["value"]
        return float(value if threshold["distance"] == "squared-L2" else 2 - 2 * np.cos(np.pi * value))

    def verify(self, first, second, flip="none", align="none"):
        """Compare two images.

        Args:
            first: path or encoded image.
            second: the other.
            flip: see `embed`.
            align: see `embed`.

        Returns:
            ``(distance, same)``: squared Euclidean distance of rows of norm 1, 0 to 4 with every flip, and whether it
            is below `threshold`. `metadata["threshold"]["flip"]` says which flip that was measured with.

        Raises:
            ValueError: the model has no threshold, or there is no face.
        """
        if self.threshold is None:
            raise ValueError("The model has no threshold; choose one on pairs with tf-facenet threshold.")
        pair = with_norm_1(self.embed([first, second], flip, align=align), flip)
        distance = float(np.sum((pair[0] - pair[1]) ** 2))
        return distance, distance < self.threshold

    def embed(self, samples, flip="none", progress=None, quality=False, align="none"):
        """Embed images; each different path or byte string once, however often it occurs.

        Args:
            samples: N paths or encoded images (bytes), or an array [N, H, W, 3] of RGB 0..255.
            flip: "none"; "concat" appends the mirrored image's embedding (facenet); "sum" adds
                the mirrored image's features before they are normalised (insightface).
            progress: called with the number of different samples embedded so far.
            quality: also return the norms of the features. Margin heads make features of blurred, turned and covered
                faces short (MagFace, arXiv:2103.06627, section 3).
            align: "none" for images that are faces; "auto", "margin" or a template's name to find the face first, see
                `photographs.recipe`. `photographs.embed` takes photographs some of which have no face.

        Returns:
            [N, D] float32, rows of norm 1; for "concat" [N, 2D], rows of norm √2. With `quality` a pair of it and
            float32 [N].

        Raises:
            ValueError: the flip is unknown, there are no samples, they are pixels of another form than one array of
                the network's size, or a photograph has no face.
            OSError: a file cannot be read.
            RuntimeError: this process was forked after TensorFlow had started.
        """
        environment.check_fork()
        lookup(FLIPS, flip, "flip")
        _check(samples, align)
        if align != "none":
            found = photographs.embed(self, samples, photographs.recipe(self.metadata, align), flip, progress)
            photographs.check_all_found(found, samples)
            return (found.embeddings, found.quality) if quality else found.embeddings
        if getattr(samples, "ndim", 1) == 1:
            samples, different, places = _different(samples)
            images = evaluation_batches(
                samples, self._batch_size(len(different)), self.image_size, place=self.place, rows=different)
            dtype = tf.uint8
        else:
            images, places, dtype = self._slices(samples), slice(None), samples.dtype
        # One trace for every size of batch, the last and smaller one too.
        spec = tf.TensorSpec([None, *self.image_size, 3], dtype)
        embed = self._embed.get_concrete_function(spec, flip)
        parts, done = [], 0
        for part in in_order(lambda batch: [array.numpy() for array in embed(batch)], images, SIDE_BY_SIDE):
            parts.append(part)
            done += len(part[1])
            if progress:
                progress(done)
        embeddings, norms = (np.concatenate(part)[places] for part in zip(*parts, strict=True))
        return (embeddings, norms) if quality else embeddings

    # What scikit-learn asks of a transformer, so that make_pipeline(Embedder.load(path), LinearSVC()) works.

    def fit(self, samples, labels=None):
        """Nothing to do: the network is trained."""
        return self

    def transform(self, samples):
        """The same as `embed`."""
        return self.embed(samples)

    def get_params(self, deep=True):
        """What a search over settings may change."""
        return {"batch_size": self.batch_size, "place": self.place}

    def set_params(self, **settings):
        """Change settings that `get_params` names."""
        for name, value in settings.items():
            lookup(self.get_params(), name, "setting of an Embedder")
            setattr(self, name, value)
        return self

    def __sklearn_clone__(self):
        return type(self)(self._model, self.metadata, self.batch_size, self.place)

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False), transformer_tags=TransformerTags(),
                    requires_fit=False)

    def _batch_size(self, count):
        return min(self.batch_size, -(-count // SIDE_BY_SIDE))

    def _slices(self, images):
        shape, expected = tuple(images.shape), (*self.image_size, 3)
        if shape[1:] != expected:
            raise ValueError(f"The images have the shape {shape}; this network takes N images "
                             f"{expected}. Resize them, or give their paths.")
        size = self._batch_size(len(images))
        return (tf.convert_to_tensor(images[start : start + size]) for start in range(0, len(images), size))

    def _embeddings_and_norms(self, images, flip):
        features = self._features(images)
        rows = FLIPS[flip](features, lambda: self._features(images[:, :, ::-1]))
        return rows, tf.norm(features, axis=-1)

    def _features(self, images):
        inference = {"training": False} if isinstance(self._model, keras.Model) else {}
        return tf.cast(self._model(images, **inference), tf.float32)


def _check(samples, align):
    """Raise ValueError unless samples are what `embed` takes; an array's shape is not looked at."""
    if isinstance(samples, (str, bytes, os.PathLike)) or len(samples) == 0:
        raise ValueError(f"Cannot embed {samples!r:.60}: expected a list of at least one path or image.")
    is_array = getattr(samples, "ndim", 1) > 1
    other = next((one for one in samples if not isinstance(one, (str, bytes, os.PathLike))), None)
    if other is None:
        return
    if align != "none":
        raise ValueError(f"align={align!r} got pixels ({type(other).__name__}); photographs must be paths or encoded "
                         "images (bytes). Give those, or faces that are cut out with align='none'.")
    if not is_array:
        raise ValueError(f"Cannot embed a list with {type(other).__name__}: expected paths or encoded images (bytes). "
                         "Stack images to one array [N, H, W, 3] with np.stack.")


def _different(samples):
    """The samples as str and bytes [N]; rows of the different ones; and for each sample its place among those [N]."""
    keys = [sample if isinstance(sample, bytes) else str(sample) for sample in samples]
    first = {}
    rows = [first.setdefault(key, row) for row, key in enumerate(keys)]
    return keys, *np.unique(rows, return_inverse=True)
