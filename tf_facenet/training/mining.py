"""Offline mining: people for a round, and the triplets of their embeddings that are worth training on."""

import numpy as np

from tf_facenet.lookup import lookup

BLOCK = 2**22  # distances held at a time
GUESSES = (8, 32)

# Squared distances between which a negative is a candidate, ends excluded: (D_ap, alpha) → low, high.
RULES = {
    "vgg": lambda positive, alpha: (np.full_like(positive, -1.0), positive + alpha),
    "semi_hard": lambda positive, alpha: (positive, positive + alpha),
}


def sample_people(labels, people_per_batch, images_per_person, rng):
    """Images of some people, for one round of mining (facenet train_tripletloss.py, ``sample_people``).

    People come in random order, each with up to images_per_person of its images in random order,
    until people_per_batch · images_per_person images are there; the last one may be cut. If people
    have fewer images there are more people. Where facenet fails because the data have too few
    images, all of them are taken.

    Args:
        labels: [N] integers, the person of each image.
        people_per_batch: at least 2; times images_per_person it is the number of images.
        images_per_person: at least 1.
        rng: numpy.random.Generator.

    Returns:
        images [M]: positions in labels, person after person. num_per_class: how many of each.

    Raises:
        ValueError: fewer than two people asked for or in the data: there would be no negatives.
    """
    labels = np.asarray(labels)
    order = np.argsort(labels, kind="stable")
    people = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    if min(len(people), people_per_batch) < 2 or images_per_person < 1:
        raise ValueError(
            f"Triplets need two people: got the images of {len(people)}, people_per_batch {people_per_batch} and "
            f"images_per_person {images_per_person}. Add people, or raise these numbers.")
    rest, chosen = people_per_batch * images_per_person, []
    for person in rng.permutation(len(people)):
        if rest == 0:
            break
        images = rng.permutation(people[person])[: min(images_per_person, rest)]
        chosen.append(images)
        rest -= len(images)
    return np.concatenate(chosen), np.array([len(images) for images in chosen])


def num_pairs(num_per_class, people_per_batch):
    """How many pairs of anchor and positive `select_triplets` looks at."""
    counts = np.asarray(num_per_class)[:people_per_batch]
    return int((counts * (counts - 1) // 2).sum())


def select_triplets(embeddings, num_per_class, people_per_batch, alpha, rng, rule="vgg"):
    """A negative for every pair of a person's images, if there is one worth training on.

    Every i < j of a person is an anchor and a positive. Candidates are the images of all other
    people whose squared distance D_an follows the rule; one is drawn, all being as likely:

    - ``"vgg"``: D_an < D_ap + alpha, hard and semi-hard ones; what facenet's train_tripletloss.py does.
    - ``"semi_hard"``: D_ap < D_an < D_ap + alpha (FaceNet, Schroff et al. 2015).

    Args:
        embeddings: [N, D], person after person, as `sample_people` returns them.
        num_per_class: number of rows of each person.
        people_per_batch: how many of these people give anchors, as in facenet; the rest only negatives.
        alpha: the margin, in squared distance.
        rng: numpy.random.Generator; the same state gives the same triplets.
        rule: name of an entry of RULES.

    Returns:
        [T, 3] rows of embeddings: anchor, positive, negative; in random order.

    Raises:
        ValueError: an unknown rule, or num_per_class that do not add up to N.
    """
    window, counts = lookup(RULES, rule, "rule"), np.asarray(num_per_class)
    embeddings = np.asarray(embeddings, np.float32)
    if counts.sum() != len(embeddings):
        raise ValueError(f"num_per_class adds up to {counts.sum()}, but there are {len(embeddings)} embeddings; "
                         "give the number of rows of each person, in the rows' order.")
    pairs, size = _pairs(counts[:people_per_batch]), max(1, BLOCK // max(1, len(embeddings)))
    triplets = [np.empty((0, 3), np.int64)]
    for start in range(0, int(counts[:people_per_batch].sum()), size):
        block = pairs[slice(*np.searchsorted(pairs[:, 0], [start, start + size]))]
        distances = _squared_distances(embeddings[start : start + size], embeddings)
        anchors = block[:, 0] - start
        low, high = window(distances[anchors, block[:, 1]], np.float32(alpha))
        negatives = _draw(_hide_own(distances, start, counts), anchors, low, high, rng)
        triplets.append(np.column_stack([block, negatives])[negatives >= 0])
    return rng.permutation(np.concatenate(triplets))


def _pairs(counts):
    """All i < j of each person: [P, 2], ordered by i."""
    upper = {count: np.stack(np.triu_indices(count, 1), axis=1) for count in np.unique(counts)}
    parts = [upper[count] + start for count, start in zip(counts, np.cumsum(counts) - counts, strict=True)]
    return np.concatenate([np.empty((0, 2), np.int64), *parts])


def _squared_distances(x, y):
    """‖x‖² + ‖y‖² − 2⟨x, y⟩, not below 0: [A, D], [N, D] → [A, N].

    The sums are part of the product, ⟨(−2x, ‖x‖², 1), (y, 1, ‖y‖²)⟩: each pass over [A, N] counts.
    """
    x_part = np.column_stack([-2 * x, np.square(x).sum(axis=1), np.ones(len(x), np.float32)])
    y_part = np.column_stack([y, np.ones(len(y), np.float32), np.square(y).sum(axis=1)])
    distances = x_part @ y_part.T
    return np.maximum(distances, 0, out=distances)


def _hide_own(distances, start, counts):
    """Make each anchor's own person infinitely far; the anchors are the rows from ``start`` on."""
    ends = np.cumsum(counts)
    for first, end in zip(ends - counts, ends, strict=True):
        distances[max(first - start, 0) : max(end - start, 0), first:end] = np.inf
    return distances


def _draw(distances, anchors, low, high, rng):
    """A random column n of each anchor's row with low < D_an < high, or -1 if there is none.

    Most pairs have so many candidates that a few guesses hit one; sorting the distances is only worth
    it for the others. Both ways all candidates are as likely.
    """
    negatives = np.full(len(anchors), -1)
    left = np.flatnonzero(distances.min(axis=1)[anchors] < high)
    for guesses in GUESSES:
        negatives[left] = _guess(distances, anchors[left], low[left], high[left], guesses, rng)
        left = left[negatives[left] < 0]
    negatives[left] = _draw_ordered(distances, anchors[left], low[left], high[left], rng)
    return negatives


def _guess(distances, anchors, low, high, guesses, rng):
    """`_draw`, but -1 also where none of some random columns is a candidate."""
    columns = rng.integers(distances.shape[1], size=(len(anchors), guesses), dtype=np.int32)
    guessed = distances.ravel().take(columns + anchors[:, None] * distances.shape[1])
    hits = (guessed < high[:, None]) & (guessed > low[:, None])
    rows, first = np.arange(len(anchors)), hits.argmax(axis=1)
    return np.where(hits[rows, first], columns[rows, first], -1)


def _draw_ordered(distances, anchors, low, high, rng):
    """`_draw` from the ordered distances: the candidates of a pair are neighbours there.

    One sort does it: an entry is the integer (row, distance, column), where the bits of a positive
    float32, read as an integer, are in the order of the floats.
    """
    def entries(rows, floats, columns):
        bits = np.maximum(floats, 0).view(np.int32).astype(np.int64)
        return (((rows << 31) | bits) << shift) | columns

    size, shift = distances.shape[1], distances.shape[1].bit_length()
    nearest, farthest = np.full(len(distances), np.inf, np.float32), np.full(len(distances), -1, np.float32)
    np.minimum.at(nearest, anchors, low)
    np.maximum.at(farthest, anchors, high)
    useful = np.flatnonzero((distances < farthest[:, None]) & (distances > nearest[:, None]))
    ordered = np.sort(entries(useful // size, distances.ravel().take(useful), useful % size))
    start = np.searchsorted(ordered, entries(anchors, low, 0) + ((low >= 0).astype(np.int64) << shift))
    count = np.searchsorted(ordered, entries(anchors, high, 0)) - start
    place = start + (rng.random(len(anchors)) * count).astype(np.int64)
    return np.where(count > 0, np.append(ordered, 0)[np.minimum(place, len(ordered))] & ((1 << shift) - 1), -1)
