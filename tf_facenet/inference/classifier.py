"""A classifier of known people on top of embeddings that also says when it is nobody of them.

The linear support vector machine is davidsandberg/facenet's (src/classifier.py; MIT). Deliberate differences: one
against the rest instead of each pair, so that a thousand people are a thousand planes; the file is plain arrays,
which run no code when they are loaded; faces that are far from everybody are unknown.
"""

from dataclasses import dataclass

import numpy as np

from tf_facenet.files import DAMAGES, atomic_write
from tf_facenet.inference.metadata import check_same

CHUNK = 4096  # rows compared with all centres at a time
FOLDS = 3  # of the cross-validation that finds the sharpness
SHARPNESSES = np.geomspace(0.5, 50, 21)


@dataclass(frozen=True, eq=False)
class Classifier:
    """What is known of C people.

    Attributes:
        names: [C] the people.
        centers: [C, D] mean embedding of each, of norm 1.
        planes: [C, D] and offsets: [C], the support vector machine: person c is on the positive side of plane c.
        sharpness: what the distances to the planes are multiplied with for probabilities by softmax.
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
    def train(cls, embeddings, labels, names, model_id="", unknown_far=0.01):
        """Learn people from their embeddings.

        Args:
            embeddings: [N, D], rows of norm 1.
            labels: [N] integers, 0..C-1.
            names: C names.
            model_id: of the model that made the embeddings.
            unknown_far: share of the faces of people that it does not know that may be taken for known ones;
                see `unknown_threshold`.

        Raises:
            ValueError: fewer than two people.
        """
        if len(names) < 2:
            raise ValueError(f"A classifier needs at least two people; got {len(names)}. Add people, or use a gallery.")
        centers = class_centers(embeddings, labels, len(names))
        planes, offsets = _planes(embeddings, labels)
        sharpness = _sharpness(embeddings, labels)
        threshold = unknown_threshold(embeddings, labels, centers, unknown_far)
        return cls(list(names), centers, planes, offsets, sharpness, threshold, model_id)

    def predict(self, embeddings):
        """Most probable person of each face.

        Args:
            embeddings: [N, D], rows of norm 1.

        Returns:
            ``(classes, probabilities, similarities)``, each [N]: the class of the largest probability, this
            probability, and the cosine to the nearest centre. A face is unknown if that is below `threshold`.

        Raises:
            ValueError: the embeddings have another width.
        """
        embeddings = np.atleast_2d(embeddings)
        if embeddings.shape[1] != self.centers.shape[1]:
            raise ValueError(f"The faces have embeddings of {embeddings.shape[1]} numbers, the classifier was trained "
                             f"on {self.centers.shape[1]}. Use the model and the --flip that it was trained with.")
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


def class_centers(embeddings, labels, num_classes):
    """Mean embedding of each class, scaled to norm 1: [C, D]."""
    sums = np.zeros((num_classes, embeddings.shape[1]))
    np.add.at(sums, labels, embeddings)
    return (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-10)).astype(np.float32)


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


def _machine():
    try:
        from sklearn.svm import LinearSVC
    except ImportError:
        raise ValueError("Training a classifier needs scikit-learn: pip install 'tf_facenet[sklearn]'") from None
    return LinearSVC()


def _planes(embeddings, labels):
    machine = _machine().fit(embeddings, labels)
    planes, offsets = machine.coef_, machine.intercept_
    if len(planes) == 1:  # two people share one plane
        planes, offsets = np.concatenate([-planes, planes]), np.concatenate([-offsets, offsets])
    return planes.astype(np.float32), offsets.astype(np.float32)


def _sharpness(embeddings, labels):
    """The factor that makes softmax probabilities of faces not trained on most likely; 1 if none can be held out."""
    from sklearn.model_selection import StratifiedKFold

    folds = min(FOLDS, int(np.bincount(labels).min()))
    if folds < 2:
        return 1.0
    scores, targets = [], []
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=0).split(embeddings, labels):
        planes, offsets = _planes(embeddings[train], labels[train])
        scores.append(embeddings[test] @ planes.T + offsets)
        targets.append(labels[test])
    scores, targets = np.concatenate(scores), np.concatenate(targets)
    return float(min(SHARPNESSES, key=lambda factor: _cross_entropy(factor * scores, targets)))


def _cross_entropy(logits, targets):
    logits = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(targets)), targets]))
