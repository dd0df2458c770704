"""A classifier of known people on top of embeddings that also says when it is nobody of them.

The linear support vector machine is davidsandberg/facenet's (src/classifier.py; MIT). Deliberate differences: the
nearest mean is the default, which needs no second photograph of anybody; planes of one against the rest instead of each
pair, so that a thousand people are a thousand planes; the file is plain arrays, which run no code when they are loaded;
faces that are far from everybody are unknown.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from tf_facenet.files import DAMAGES, atomic_write
from tf_facenet.inference.metadata import check_same
from tf_facenet.lookup import lookup

CHUNK = 4096  # rows compared with all people at a time
FOLDS = 3  # of the cross-validation that finds the sharpness of support vector machines
MOST_HELD_OUT = 2048  # rows that the sharpness of means is found on
DOUBLINGS = np.linspace(-4, 4, 33)  # of the usual sharpness, which are tried
USUAL_SHARPNESS = 20  # of several networks and numbers of photographs, see docs/results.md


@dataclass(frozen=True, eq=False)
class Classifier:
    """What is known of C people.

    Attributes:
        names: [C] the people.
        centers: [C, D] mean embedding of each, of norm 1.
        planes: [C, D] and offsets: [C]: the person of a face x is the c of the largest ⟨planes[c], x⟩ + offsets[c].
        sharpness: what these are multiplied with for probabilities by softmax.
        threshold: cosine to the nearest centre below which a face is unknown.
        model_id: `metadata["model_id"]` of the model that made the embeddings.
    """

    names: list[str]
    centers: np.ndarray
    planes: np.ndarray
    offsets: np.ndarray
    sharpness: float
    threshold: float
    model_id: str = ""

    @classmethod
    def train(cls, embeddings, labels, names, model_id="", unknown_far=0.01, classifier="mean"):
        """Learn people from their embeddings.

        Args:
            embeddings: [N, D], rows of norm 1.
            labels: [N] integers, 0..C-1.
            names: C names.
            model_id: of the model that made the embeddings.
            unknown_far: share of the faces of people that it does not know that may be taken for known ones;
                see `unknown_threshold`.
            classifier: "mean", the nearest centre; or "svm", facenet's linear support vector machine.

        Raises:
            ValueError: fewer than two people, an unknown classifier, or scikit-learn is not installed.
        """
        learn = lookup(CLASSIFIERS, classifier, "classifier")
        if len(names) < 2:
            raise ValueError(f"A classifier needs at least two people; got {len(names)}. Add people, or use a gallery.")
        centers = class_centers(embeddings, labels, len(names))
        threshold = unknown_threshold(embeddings, labels, centers, unknown_far)
        return cls(list(names), centers, *learn(embeddings, labels, len(names)), threshold, model_id)

    def predict(self, embeddings):
        """Most probable person of each face.

        Args:
            embeddings: [N, D], rows of norm 1.

        Returns:
            ``(classes, probabilities, similarities)``, each [N]: the most probable person; the probability that it
            is this person if it is one of those that the classifier knows; and the cosine to the nearest centre. A
            face is unknown if that is below `threshold`.

        Raises:
            ValueError: the embeddings have another width.
        """
        embeddings = np.atleast_2d(embeddings)
        if embeddings.shape[1] != self.centers.shape[1]:
            raise ValueError(f"The faces have embeddings of {embeddings.shape[1]} numbers, the classifier was trained "
                             f"on {self.centers.shape[1]}. Use the model and the --flip that it was trained with.")
        parts = [self._predict(embeddings[at:at + CHUNK]) for at in range(0, max(1, len(embeddings)), CHUNK)]
        return tuple(map(np.concatenate, zip(*parts, strict=True)))

    def _predict(self, embeddings):
        scores = self.sharpness * (embeddings @ self.planes.T + self.offsets)
        classes = scores.argmax(axis=1)
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        return classes, 1 / shifted.sum(axis=1), (embeddings @ self.centers.T).max(axis=1)

    def check_model(self, model_id):
        """Raise ValueError if the classifier was trained on another model's embeddings."""
        check_same(model_id, self.model_id, "The classifier was trained",
                   "Name that model, or train the classifier again.")

    def save(self, path):
        """Write it as an .npz file, whole or not at all."""
        text = "\0".join(self.names).encode(errors="surrogateescape")
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **{**vars(self), "names": np.frombuffer(text, np.uint8)})

    @classmethod
    def load(cls, path):
        """Read the file of `save`. Nothing in it can run.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no such file.
        """
        with open(path, "rb") as file:
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    return cls(**_checked({name: arrays[name] for name in cls.__dataclass_fields__}))
            except DAMAGES as error:
                raise ValueError(
                    f"'{path}' is not a classifier of tf-facenet classify ({str(error).partition('.')[0]}). Train one; "
                    "facenet's .pkl files are not read, since they can run code.") from error


def _checked(arrays):
    """Attributes of a `Classifier` from the arrays of a file; ValueError unless they fit each other."""
    names = arrays["names"].tobytes().decode(errors="surrogateescape").split("\0")
    width = arrays["centers"].shape[-1:]
    shapes = {"centers": (len(names), *width), "planes": (len(names), *width), "offsets": (len(names),)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} {arrays[name].shape}: expected {shape}, finite numbers")
    plain = {name: arrays[name].item() for name in ("sharpness", "threshold", "model_id")}
    if list(map(type, plain.values())) != [float, float, str]:
        raise ValueError(f"{', '.join(plain)} are {list(plain.values())!r}")
    return {**arrays, **plain, "names": names}


def class_sums(embeddings, labels, num_classes):
    """Sum of the embeddings of each class: float64 [C, D]."""
    sums = np.zeros((num_classes, embeddings.shape[1]))
    np.add.at(sums, labels, embeddings)
    return sums


def class_centers(embeddings, labels, num_classes):
    """Mean embedding of each class, scaled to norm 1: [C, D]."""
    return _unit(class_sums(embeddings, labels, num_classes))


def own_cosine(sums, counts):
    """Cosine of two images of one person, the mean over people with several; 0 if there are none.

    Args:
        sums: [C, D] of each person's unit rows.
        counts: [C] their numbers.
    """
    several = counts > 1
    if not several.any():
        return 0.0
    pairs = counts[several] * (counts[several] - 1)
    return float(np.clip((((sums[several] ** 2).sum(axis=1) - counts[several]) / pairs).mean(), 0, 1))


def excess_of_means(counts, cosine):
    """How much nearer a face is to the centre of n other images of its person than to one of them, in the mean: [C].

    If images of one person have the cosine g, then a new one and the mean of n have g √(n / (1 + (n − 1) g)). Without
    taking the difference off, who has many images would win over who has a single one.

    Args:
        counts: n of each person, [C].
        cosine: g, 0..1.
    """
    return (cosine * (np.sqrt(counts / (1 + (counts - 1) * cosine)) - 1)).astype(np.float32)


def unknown_threshold(embeddings, labels, centers, far):
    """Cosine to the nearest centre that only a share `far` of unknown people's faces reach.

    Each person is held out in turn: their faces are compared with the centres of all others, to whom they are unknown.
    """
    nearest = np.empty(len(embeddings))
    for start in range(0, len(embeddings), CHUNK):
        similarities = embeddings[start:start + CHUNK] @ centers.T
        own = labels[start:start + CHUNK]
        similarities[np.arange(len(own)), own] = -1
        nearest[start:start + CHUNK] = similarities.max(axis=1)
    return float(np.quantile(nearest, 1 - far))


def _unit(rows):
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-10)).astype(np.float32)


def _means(embeddings, labels, num_classes):
    """The nearest centre, less its excess; how sharp is seen from images and the centres of the others of their person.

    Returns:
        ``(planes, offsets, sharpness)``, as all of `CLASSIFIERS`.
    """
    counts, sums = np.bincount(labels, minlength=num_classes), class_sums(embeddings, labels, num_classes)
    centers, cosine = _unit(sums), own_cosine(sums, counts)
    offsets = -excess_of_means(counts, cosine)
    held_out = np.flatnonzero(counts[labels] > 1)
    held_out = held_out[::-(-len(held_out) // MOST_HELD_OUT) or 1]
    rows, own = embeddings[held_out], labels[held_out]
    scores = rows @ centers.T + offsets
    to_others = (rows * _unit(sums[own] - rows)).sum(axis=1)
    scores[np.arange(len(own)), own] = to_others - excess_of_means(counts[own] - 1, cosine)
    return centers, offsets, _sharpness(scores, own)


def _machine():
    try:
        from sklearn.svm import LinearSVC
    except ImportError:
        raise ValueError("The classifier svm needs scikit-learn: pip install 'tf_facenet[sklearn]'") from None
    return LinearSVC()


def _machines(embeddings, labels, num_classes):
    """Planes by support vector machines; how sharp is seen from images that they are not trained on."""
    scores, targets = [np.zeros((0, num_classes))], [np.zeros(0, int)]
    folds = _folds(labels)
    for held_out in (folds == fold for fold in range(folds.max() + 1)):
        planes, offsets = _planes(embeddings[~held_out], labels[~held_out])
        scores.append(embeddings[held_out] @ planes.T + offsets)
        targets.append(labels[held_out])
    return *_planes(embeddings, labels), _sharpness(np.concatenate(scores), np.concatenate(targets))


def _folds(labels):
    """In which fold each image is held out, [N]: everybody's are dealt to all in turn; -1 = never, a single one."""
    counts = np.bincount(labels)[labels]
    order = np.argsort(labels, kind="stable")
    places = np.empty(len(labels), int)
    places[order] = np.arange(len(labels)) - np.searchsorted(labels[order], labels[order])
    return np.where(counts > 1, places % np.minimum(FOLDS, counts), -1)


def _planes(embeddings, labels):
    with warnings.catch_warnings():  # that so many classes could be a regression's
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        machine = _machine().fit(embeddings, labels)
    planes, offsets = machine.coef_, machine.intercept_
    if len(planes) == 1:  # two people share one plane
        planes, offsets = np.concatenate([-planes, planes]), np.concatenate([-offsets, offsets])
    return planes.astype(np.float32), offsets.astype(np.float32)


def _sharpness(scores, targets):
    """The factor by which softmax makes the people of held-out faces most likely; the usual one if there are none.

    Before any face is seen the logarithm of the factor is normal around that of the usual one, with a spread of one
    doubling, so that two or three faces that are all recognised do not make every answer certain.

    Args:
        scores: [N, C] of faces that were not trained on.
        targets: [N] their people.
    """
    factors = (USUAL_SHARPNESS * 2**DOUBLINGS).tolist()  # plain numbers, which leave float32 as it is
    losses = [_cross_entropy(factor * scores, targets) for factor in factors]
    return factors[np.argmin(losses + DOUBLINGS**2 / 2)]


def _cross_entropy(logits, targets):
    """The sum over all rows."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return float(np.sum(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(targets)), targets]))


CLASSIFIERS = {"mean": _means, "svm": _machines}
