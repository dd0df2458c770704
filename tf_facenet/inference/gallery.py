"""A gallery of known people, and who of them is nearest to a face: exact, without an index to train.

Rows are turned by an orthogonal matrix, which changes no product of two of them, so that most of their
length lies in the first coordinates. For unit rows x and q, split into head and tail,

    ⟨x, q⟩ = ⟨x₁, q₁⟩ + ⟨x₂, q₂⟩,    |⟨x₂, q₂⟩| ≤ ‖x₂‖ ‖q₂‖    (Cauchy–Schwarz),

so the heads alone, a quarter of the memory that a full product reads, bound every similarity; the tails
are read only of rows that can still be among the k nearest.
"""

import json
from pathlib import Path

import numpy as np

from tf_facenet.files import atomic_folder

HEAD = 4  # one HEAD-th of the coordinates
SAMPLE = 50_000  # rows that the turn is found from
CHUNK = 65_536  # rows turned at a time
DENSE = 0.1  # share of candidates from which one product with all tails is faster than picking them
SLACK = 1e-5  # rounding of float32 products of unit rows

DESCRIPTION = "gallery.json"


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
        embeddings = np.asarray(embeddings, np.float32)
        if embeddings.ndim != 2 or not len(embeddings) or len(embeddings) != len(names):
            raise ValueError(f"A gallery got embeddings {embeddings.shape} and {len(names)} names; expected [N, D] with"
                             " a name for each row, and at least one.")
        norms = np.linalg.norm(embeddings, axis=1)
        if not np.allclose(norms, 1, atol=1e-3):
            raise ValueError(f"Embeddings of a gallery have norm 1; got norms from {norms.min():.3g} to "
                             f"{norms.max():.3g}. Divide each row by its norm.")
        turn = _principal_axes(embeddings)
        split = -(-embeddings.shape[1] // HEAD)
        heads = np.empty((len(embeddings), split), np.float32)
        tails = np.empty((len(embeddings), embeddings.shape[1] - split), np.float32)
        for at in range(0, len(embeddings), CHUNK):
            turned = embeddings[at:at + CHUNK] @ turn
            heads[at:at + CHUNK], tails[at:at + CHUNK] = turned[:, :split], turned[:, split:]
        self._set(turn, heads, tails, np.linalg.norm(tails, axis=1), list(names), model_id)

    def _set(self, turn, heads, tails, tail_norms, names, model_id):
        self.turn, self.heads, self.tails, self.tail_norms = turn, heads, tails, tail_norms
        self.names, self.model_id = names, model_id

    def __len__(self):
        return len(self.names)

    @property
    def embeddings(self):
        """[N, D], as they were given up to rounding."""
        return np.concatenate([self.heads, self.tails], axis=1) @ self.turn.T

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
        if queries.shape[1] != len(self.turn):
            raise ValueError(f"The faces have embeddings of {queries.shape[1]} numbers, those of the gallery "
                             f"{len(self.turn)}. Use the model that made the gallery.")
        k = min(k, len(self))
        found = [self._nearest(query, k) for query in queries @ self.turn]
        return tuple(np.stack(part) for part in zip(*found, strict=True))

    def _nearest(self, query, k):
        head, tail = np.split(query, [self.heads.shape[1]])
        similarities = self.heads @ head
        reach = self.tail_norms * np.float32(np.linalg.norm(tail))
        rows = self._candidates(similarities, reach, k)
        if len(rows) > DENSE * len(self):
            similarities += self.tails @ tail
            rows = np.argpartition(similarities, -k)[-k:]
            similarities = similarities[rows]
        else:
            similarities = similarities[rows] + self.tails[rows] @ tail
        order = np.lexsort((rows, -similarities))[:k]
        return similarities[order], rows[order]

    @staticmethod
    def _candidates(similarities, reach, k):
        """Rows whose largest possible similarity is not below k others' smallest possible one."""
        lowest = similarities - reach
        certain = np.partition(lowest, -k)[-k]
        return np.flatnonzero(similarities + reach >= certain - SLACK)

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
        return Gallery(np.concatenate([self.embeddings, np.asarray(embeddings, np.float32)]),
                       [*self.names, *names], self.model_id)

    def check_model(self, model_id):
        """Raise ValueError if another model made the gallery."""
        if model_id != self.model_id:
            raise ValueError(f"The gallery was made with model {self.model_id[:12] or 'unknown'}, this is "
                             f"{model_id[:12] or 'unknown'}: their embeddings cannot be compared. Name the model "
                             "of the gallery, or make the gallery again.")

    def save(self, folder):
        """Write the gallery as a folder, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        with atomic_folder(folder) as temporary:
            for name in ("turn", "heads", "tails", "tail_norms"):
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
            description = json.loads(text)
            turn, tail_norms = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("turn", "tail_norms"))
            heads, tails = (np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                            for name in ("heads", "tails"))
            names, model_id = description["names"], description["model_id"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"The gallery '{folder}' is damaged ({error}). Make it again.") from error
        made._set(turn, heads, tails, tail_norms, names, model_id)
        made._check_sizes(folder)
        return made

    def _check_sizes(self, folder):
        counts = {len(self.names), len(self.heads), len(self.tails), len(self.tail_norms)}
        if len(counts) > 1 or self.turn.shape != (self.heads.shape[1] + self.tails.shape[1],) * 2:
            raise ValueError(f"The gallery '{folder}' is damaged: its files have different numbers of rows. "
                             "Make it again.")


def _principal_axes(embeddings):
    """Orthogonal [D, D] whose first columns carry most of the rows' length."""
    sample = embeddings[:: -(-len(embeddings) // SAMPLE)].astype(np.float64)
    _, axes = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(axes[:, ::-1], np.float32)
