"""Offline mining: rounds of sampling people, embedding their images and training on chosen triplets.

Source: facenet src/train_tripletloss.py. Deliberate differences: images are decoded once a round, embedded in
inference mode, and a round goes on exactly where a checkpoint was written.
"""

import logging

import numpy as np

from tf_facenet.data.in_order import augmented_images
from tf_facenet.inference.embedder import Embedder
from tf_facenet.training import mining

logger = logging.getLogger(__name__)

PATIENCE = 10  # rounds without a triplet


class Rounds:
    """Endless batches of triplets: images uint8 [3T, H, W, 3] and labels int32 [3T], in a, p, n order.

    A round is drawn from the seed and its number; its triplets depend on the weights that the network has when it
    begins. What is left of a round that is shorter than a batch is dropped; a round shorter than a batch is repeated.

    Args:
        faces: `Faces`.
        backbone: Keras model, the one in training.
        options: `options.TripletOptions`.
        augmentation: `data.augment.Augmentation`.
        state: what `state` gave when a checkpoint was written; None at the beginning.

    Raises:
        ValueError: while iterating, if no triplet violates the margin in several rounds.
    """

    def __init__(self, faces, backbone, options, augmentation, state=None):
        self.faces, self.options, self.augmentation = faces, options, augmentation
        self.embedder = Embedder(backbone, {"image_size": backbone.input_shape[1:3]},
                                 batch_size=options.lfw_batch_size)
        self.triplets_per_batch = max(1, options.batch_size // 3)
        state = state or {"number": -1, "batch": 0, "rows": [], "triplets": []}
        self.number, self.batch = state["number"], state["batch"]
        self.rows, self.triplets = np.array(state["rows"], int), np.array(state["triplets"], int).reshape(-1, 3)
        self.images = self._decode() if len(self.rows) else None

    def state(self):
        """What decides the next batch, as JSON holds it."""
        return {"number": self.number, "batch": self.batch, "rows": self.rows.tolist(),
                "triplets": self.triplets.ravel().tolist()}

    def __iter__(self):
        return self

    def __next__(self):
        """The next batch; begins a round if the last one is over."""
        if self.batch >= self._num_batches():
            self._begin()
        first = self.batch * self.triplets_per_batch
        chosen = np.take(self.triplets, range(first, first + self.triplets_per_batch), axis=0, mode="wrap").ravel()
        self.batch += 1
        return self.images[chosen], self.faces.labels[self.rows[chosen]].astype(np.int32)

    def _num_batches(self):
        whole = len(self.triplets) // self.triplets_per_batch
        return whole or min(1, len(self.triplets))

    def _begin(self):
        for _ in range(PATIENCE):
            self.number, self.batch = self.number + 1, 0
            self._select()
            if len(self.triplets):
                return
        raise ValueError(f"In {PATIENCE} rounds no triplet violates the margin of --alpha {self.options.alpha}: there "
                         "is nothing left to learn. Raise --alpha, --people_per_batch or --images_per_person")

    def _select(self):
        options, rng = self.options, np.random.default_rng([self.options.seed, self.number])
        self.rows, counts = mining.sample_people(
            self.faces.labels, options.people_per_batch, options.images_per_person, rng)
        self.images = self._decode()
        self.triplets = mining.select_triplets(
            self.embedder.embed(self.images), counts, options.people_per_batch, options.alpha, rng,
            options.mining_rule)
        logger.info("Round %d: %d triplets of %d pairs of one person", self.number, len(self.triplets),
                    mining.num_pairs(counts, options.people_per_batch))

    def _decode(self):
        return augmented_images(self.faces.samples[self.rows], self.options.image_size, self.augmentation,
                                [self.options.seed, self.number])
