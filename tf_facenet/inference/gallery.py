"""A gallery of known people, and who of them is nearest to a face: exact, without an index to train.

A search reads one byte of each number: a row x is s·z + r with integers z from -127 to 127, a scale s and a rest r, and

    |⟨x, q⟩ − s ⟨z, q⟩| ≤ ‖r‖ ‖q‖    (Cauchy–Schwarz),

which is below 0.01 for unit rows. Only the rows that can still be among the k nearest are read whole. With few rows, or
with many queries at a time, making all products is as fast. Either way the rows that can be among the nearest are
compared in double precision, so that the results are the same.
"""

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tf_facenet import environment
from tf_facenet.inference import gallery_files
from tf_facenet.inference.metadata import check_same

SMALL = 20_000  # rows, below which all products are as fast
FEW = 16  # queries, above which they are, too
CHUNK = 16_384  # rows rounded, or compared in double precision, at a time
SLACK = 1e-5  # rounding of float32 products of unit rows
COMPARED = 1024  # faces of a person looked up among the others at a time
BLOCK = 2**22  # products in memory together


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
            ValueError: the queries have another width, or one of them a number that is NaN or infinite.
        """
        queries = np.atleast_2d(np.asarray(queries, np.float32))
        self._check_width(queries)
        bad = np.flatnonzero(~np.isfinite(queries).all(axis=1))
        if len(bad):
            raise ValueError(f"Row {bad[0]} of the {len(queries)} embeddings has a number that is NaN or infinite. "
                             "Leave it out, and look at its image and at the model.")
        k = min(k, len(self))
        candidates = self._by_codes if len(self) >= SMALL and len(queries) <= FEW else self._by_products
        similarities, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        for place, (query, some) in enumerate(zip(queries, candidates(queries, k), strict=True)):
            similarities[place], rows[place] = self._largest(query, some, k)
        return similarities, rows

    def _by_products(self, queries, k):
        """For each query the rows that can be among its k nearest."""
        size = max(1, BLOCK // len(self))
        for at in range(0, len(queries), size):
            products = queries[at:at + size] @ self.rows.T
            certain = products.max(axis=1) if k == 1 else np.partition(products, -k, axis=1)[:, -k]
            certain -= SLACK * np.linalg.norm(queries[at:at + size], axis=1)
            yield from map(np.flatnonzero, products >= certain[:, None])

    def _by_codes(self, queries, k):
        """The same, by bounds of the products."""
        environment.check_fork()
        if self._parts is None:  # in memory, one part for each core
            import tensorflow as tf

            parts = np.array_split(np.arange(len(self)), os.cpu_count())
            self._parts = [(part, tf.constant(self.codes[part[0]:part[-1] + 1])) for part in parts]
        with ThreadPoolExecutor() as pool:
            for query in queries:
                bounds = list(pool.map(functools.partial(self._bounds, query, k), self._parts))
                certain = max(least for least, _ in bounds) - SLACK * np.linalg.norm(query)
                yield np.concatenate([part[most >= certain]
                                      for (part, _), (_, most) in zip(self._parts, bounds, strict=True)])

    def _largest(self, query, rows, k):
        """The k largest products among some rows, in order; of equal ones the first."""
        chunks = (rows[at:at + CHUNK] for at in range(0, len(rows), CHUNK))
        products = np.concatenate([np.sum(self.rows[chunk] * query.astype(np.float64), axis=1) for chunk in chunks])
        order = np.lexsort((rows, -products))[:k]
        return products[order], rows[order]

    def _bounds(self, query, k, part):
        """What k rows of a part reach at least (-∞ if it has fewer), and what each of them reaches at most."""
        rows, codes = part
        own = slice(rows[0], rows[-1] + 1)
        products = _products()(codes, query).numpy() * self.scales[own]
        reach = self.errors[own] * np.linalg.norm(query)
        least = np.partition(products - reach, -k)[-k] if k <= len(rows) else -np.inf
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

    def _check_width(self, embeddings):
        if embeddings.shape[1] != self.rows.shape[1]:
            raise ValueError(f"The faces have embeddings of {embeddings.shape[1]} numbers, those of the gallery "
                             f"{self.rows.shape[1]}. Use the model and the --flip that made the gallery.")

    def check_model(self, model_id):
        """Raise ValueError if another model made the gallery."""
        check_same(model_id, self.model_id, "The gallery was made",
                   "Name the model of the gallery, or make the gallery again.")

    def save(self, folder):
        """Write the gallery into a folder, in place of one that is there; other files in it stay.

        Raises:
            OSError: it cannot be written; the one before stays.
        """
        with gallery_files.writing(folder):
            self._write(folder)

    def _write(self, folder):
        gallery_files.write(folder, (self.rows, self.codes, self.scales, self.errors), self.names, self.model_id)

    @classmethod
    def add(cls, folder, embeddings, names, model_id=""):
        """Add faces to the gallery in a folder, or make it. Several processes may do so at the same time.

        A face that is there already, with the same embedding and name, is left out; also one that comes twice.

        Args:
            folder: of the gallery.
            embeddings: [Q, D] rows of norm 1.
            names: Q names.
            model_id: of the model that made them.

        Returns:
            ``(gallery, added)``: the whole gallery, and bool [Q], which faces are new in it.

        Raises:
            OSError: it cannot be read or written.
            ValueError: the gallery is another model's or damaged, or there is nothing to make one of.
        """
        rows = np.asarray(embeddings, np.float32)
        with gallery_files.writing(folder):
            old = cls.load(folder) if gallery_files.is_gallery(folder) else None
            if old:
                old.check_model(model_id)
                old._check_width(rows)
            new = ~_repeated(rows, names, *((old.rows, old.names) if old else (rows[:0], [])))
            if old and not new.any():
                return old, new
            rows, names = rows[new], [name for name, is_new in zip(names, new, strict=True) if is_new]
            gallery = old.with_people(rows, names) if old else cls(rows, names, model_id)
            gallery._write(folder)
        return gallery, new

    @classmethod
    def load(cls, folder):
        """Read a gallery; its rows stay on disk and are mapped into memory.

        Raises:
            OSError: there is none.
            ValueError: its files do not belong together.
        """
        made = cls.__new__(cls)
        arrays, names, model_id = gallery_files.read(folder)
        made._set(*arrays, names, model_id)
        return made


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


def _repeated(rows, names, known_rows, known_names):
    """Which of some rows are copies, bool [Q]: known, or earlier among themselves, with the same name."""
    rows, copies, wanted = _unit(rows), np.zeros(len(rows), bool), set(names)
    known = _places(name if name in wanted else None for name in known_names)
    for name, own in _places(names).items():
        before = _unit(known_rows[known.get(name, [])])
        for at in range(0, len(own), COMPARED):
            some, earlier = rows[own[at:at + COMPARED]], rows[own[:at]]
            copies[own[at:at + len(some)]] = np.max([
                (some @ before.T).max(axis=1, initial=-1), (some @ earlier.T).max(axis=1, initial=-1),
                np.tril(some @ some.T, -1).max(axis=1)], axis=0) > 1 - SLACK
    return copies


def _unit(rows):
    """Rows of norm 1 exactly; a gallery's may be a little longer or shorter."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _places(names):
    """Name → list of its places."""
    places = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return places
