"""A gallery of known people, and who of them is nearest to a face: exact, without an index to train.

A search reads one byte of each number: a row x is s·z + r with integers z from -127 to 127, a scale s and a rest r, and

    |⟨x, q⟩ − s ⟨z, q⟩| ≤ ‖r‖ ‖q‖    (Cauchy–Schwarz),

which is below 0.01 for unit rows. Only the rows that can still be among the k nearest are read whole.
"""

import functools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tf_facenet import environment
from tf_facenet.files import DAMAGES, atomic_folder, parse_json
from tf_facenet.inference.metadata import check_same

SMALL = 20_000  # rows, below which one product is as fast
CHUNK = 65_536  # rows rounded at a time
SLACK = 1e-5  # rounding of float32 products of unit rows

DESCRIPTION = "gallery.json"
ARRAYS = {"rows": (np.float32, 1), "codes": (np.int8, 1), "scales": (np.float32, 0), "errors": (np.float32, 0)}
# Name → (type, 1 if its rows are as wide as the embeddings, 0 if they are numbers).


class Gallery:
    """Embeddings of known faces with the names of their people.

    Args:
        embeddings: [N, D] rows of norm 1.
        names: N names, one a row; a person may have many rows.
        model_id: `metadata["model_id"]` of the model that made them.

    Raises:
        ValueError: no rows, not as many names, or rows that are not of norm 1.
    """

    def __init__(self, embeddings, names, model_id=""):
        rows = np.asarray(embeddings, np.float32)
        if rows.ndim != 2 or not len(rows) or len(rows) != len(names):
            raise ValueError(f"A gallery got embeddings {rows.shape} and {len(names)} names; expected [N, D] with"
                             " a name for each row, and at least one.")
        norms = np.linalg.norm(rows, axis=1)
        if not np.allclose(norms, 1, atol=1e-3):
            raise ValueError(f"Embeddings of a gallery have norm 1; got norms from {norms.min():.3g} to "
                             f"{norms.max():.3g}. Divide each row by its norm.")
        self._set(rows, *_rounded(rows), list(names), model_id)

    def _set(self, rows, codes, scales, errors, names, model_id):
        self.rows, self.codes, self.scales, self.errors = rows, codes, scales, errors
        self.names, self.model_id = names, model_id
        self._parts = None

    def __len__(self):
        return len(self.names)

    def search(self, queries, k=1):
        """The k rows of the largest cosine to each query, exactly.

        Args:
            queries: [Q, D], rows of norm 1.
            k: how many; at most N are returned.

        Returns:
            ``(similarities, rows)``: float32 and int [Q, k], the largest first.

        Raises:
            ValueError: the queries have another width.
        """
        queries = np.atleast_2d(np.asarray(queries, np.float32))
        if queries.shape[1] != self.rows.shape[1]:
            raise ValueError(f"The faces have embeddings of {queries.shape[1]} numbers, those of the gallery "
                             f"{self.rows.shape[1]}. Use the model and the --flip that made the gallery.")
        k = min(k, len(self))
        if len(self) < SMALL:
            found = [_largest(row, np.arange(len(self)), k) for row in queries @ self.rows.T]
        else:
            with ThreadPoolExecutor() as pool:
                found = [self._nearest(query, k, pool) for query in queries]
        return tuple(np.stack(part) for part in zip(*found, strict=True))

    def _nearest(self, query, k, pool):
        environment.check_fork()
        if self._parts is None:  # in memory, one part for each core
            import tensorflow as tf

            parts = np.array_split(np.arange(len(self)), os.cpu_count())
            self._parts = [(part, tf.constant(self.codes[part[0]:part[-1] + 1])) for part in parts]
        bounds = list(pool.map(lambda part: self._bounds(query, k, *part), self._parts))
        certain = max(least for least, _ in bounds) - SLACK
        rows = np.concatenate([part[most >= certain] for (part, _), (_, most) in zip(self._parts, bounds, strict=True)])
        return _largest(self.rows[rows] @ query, rows, k)

    def _bounds(self, query, k, part, codes):
        """What k rows of a part reach at least (-1 if it has fewer), and what each of them reaches at most."""
        own = slice(part[0], part[-1] + 1)
        products = _products()(codes, query).numpy() * self.scales[own]
        reach = self.errors[own] * np.linalg.norm(query)
        least = np.partition(products - reach, -k)[-k] if k <= len(part) else -1
        return least, products + reach

    def identify(self, queries, threshold):
        """Name of the nearest face of each query, "" where its cosine is below the threshold.

        Returns:
            ``(names, similarities)``: list of Q, and float32 [Q].
        """
        similarities, rows = self.search(queries)
        return ([self.names[row] if similarity >= threshold else ""
                 for similarity, row in zip(similarities[:, 0], rows[:, 0], strict=True)], similarities[:, 0])

    def with_people(self, embeddings, names):
        """A gallery with more rows; nothing is trained."""
        return Gallery(np.concatenate([self.rows, np.asarray(embeddings, np.float32)]),
                       [*self.names, *names], self.model_id)

    def has(self, embeddings, names):
        """Which of some faces [Q] are among its own, bool [Q]: those that equal their nearest, of the same name."""
        similarities, rows = self.search(embeddings)
        same_names = [self.names[row] == name for row, name in zip(rows[:, 0], names, strict=True)]
        return (similarities[:, 0] > 1 - SLACK) & same_names

    def check_model(self, model_id):
        """Raise ValueError if another model made the gallery."""
        check_same(model_id, self.model_id, "The gallery was made",
                   "Name the model of the gallery, or make the gallery again.")

    def save(self, folder):
        """Write the gallery as a folder, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        with atomic_folder(folder) as temporary:
            for name in ARRAYS:
                np.save(temporary / f"{name}.npy", getattr(self, name), allow_pickle=False)
            text = json.dumps({"model_id": self.model_id, "names": self.names}, ensure_ascii=False)
            (temporary / DESCRIPTION).write_text(text, encoding="utf-8", errors="surrogateescape")

    @classmethod
    def load(cls, folder):
        """Read a gallery; its rows stay on disk and are mapped into memory.

        Raises:
            OSError: there is none.
            ValueError: its files do not belong together.
        """
        folder, made = Path(folder), cls.__new__(cls)
        if not (folder / DESCRIPTION).is_file():
            raise FileNotFoundError(f"'{folder}' is no gallery: it has no {DESCRIPTION}. tf-facenet enroll makes one.")
        try:
            text = (folder / DESCRIPTION).read_text(encoding="utf-8", errors="surrogateescape")
            description = parse_json(text, DESCRIPTION)
            names, model_id = _checked_names(**description)
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
            _check_arrays(arrays, len(names))
        except DAMAGES as error:
            raise ValueError(f"The gallery '{folder}' is damaged ({error}). Make it again.") from error
        made._set(*arrays.values(), names, model_id)
        return made


def _checked_names(*, names, model_id):
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in [*names, model_id])):
        raise ValueError(f"{DESCRIPTION} holds no names of people, or no model_id")
    return names, model_id


def _check_arrays(arrays, count):
    """Raise ValueError unless the arrays are of the kinds and sizes that belong to so many rows."""
    rows = arrays["rows"]
    width = rows.shape[1:] if isinstance(rows, np.ndarray) else ()
    for name, (dtype, shape) in ARRAYS.items():
        array, expected = arrays[name], (count, *width[:shape])
        if not isinstance(array, np.ndarray) or len(width) != 1 or (array.dtype, array.shape) != (dtype, expected):
            raise ValueError(f"{name}.npy has another kind or number of values than {count} names and their rows need")


def _rounded(rows):
    """Codes int8 [N, D], scales [N] and norms of what is left [N]."""
    codes, scales, errors = np.empty(rows.shape, np.int8), *np.empty((2, len(rows)), np.float32)
    for at in range(0, len(rows), CHUNK):
        some = rows[at:at + CHUNK]
        scale = np.abs(some).max(axis=1) / 127
        code = np.rint(some / scale[:, None])
        codes[at:at + CHUNK], scales[at:at + CHUNK] = code, scale
        errors[at:at + CHUNK] = np.linalg.norm(some - code * scale[:, None], axis=1)
    return codes, scales, errors


@functools.cache
def _products():
    """The function (codes [N, D], query [D]) → products [N]; only large galleries need TensorFlow."""
    import tensorflow as tf

    # Compiled, the codes become floats on the way, never in memory.
    return tf.function(lambda codes, query: tf.linalg.matvec(tf.cast(codes, tf.float32), query), jit_compile=True)


def _largest(similarities, rows, k):
    order = np.lexsort((rows, -similarities))[:k]
    return similarities[order], rows[order]
