"""Sampling of people and selection of triplets, against facenet's loop over pairs."""

import numpy as np
import pytest

from tf_facenet.training import mining
from tf_facenet.training.mining import num_pairs, sample_people, select_triplets

RULES = {"vgg": lambda near, far, alpha: far - near < alpha,
         "semi_hard": lambda near, far, alpha: (near < far) & (far - near < alpha)}


def faces(counts, spread, width=8, seed=0):
    """Unit rows, person after person, around random points."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.standard_normal((len(counts), width)), counts, axis=0)
    rows += spread * rng.standard_normal(rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")


def candidates(embeddings, counts, people_per_batch, alpha, rule):
    """{(anchor, positive): rows that may be its negative}, looped over as facenet does."""
    person, start, found = np.repeat(np.arange(len(counts)), counts), 0, {}
    for count in counts[:people_per_batch]:
        for a in range(start, start + count):
            far = np.square(embeddings[a] - embeddings).sum(axis=1)
            for p in range(a + 1, start + count):
                mask = RULES[rule](far[p], far, alpha) & (person != person[a])
                if mask.any():
                    found[a, p] = set(np.flatnonzero(mask))
        start += count
    return found


def check(triplets, expected):
    """Every pair that has a candidate is there once, with one of its candidates."""
    assert triplets.shape == (len(expected), 3)
    assert {(a, p) for a, p, _ in triplets.tolist()} == set(expected)
    assert all(n in expected[a, p] for a, p, n in triplets.tolist())


@pytest.fixture(params=[(8, 32), (1,), ()], ids=["guesses", "one guess", "sorted"])
def guesses(request, monkeypatch):
    """With and without the guesses, so that each way of drawing is tested alone."""
    monkeypatch.setattr(mining, "GUESSES", request.param)


@pytest.mark.usefixtures("guesses")
@pytest.mark.parametrize("rule", sorted(mining.RULES))
@pytest.mark.parametrize("spread", [0.2, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("people_per_batch", [2, 9])
def test_facenets_loop(rule, spread, people_per_batch):
    """Also with people of one image, and with surplus people, who are negatives only."""
    counts = [5, 1, 7, 2, 1, 6, 3, 4, 1]
    embeddings = faces(counts, spread)
    expected = candidates(embeddings, counts, people_per_batch, 0.2, rule)
    for seed in range(3):
        triplets = select_triplets(embeddings, counts, people_per_batch, 0.2, np.random.default_rng(seed), rule)
        check(triplets, expected)


@pytest.mark.parametrize("block", [1, 100, 1000])
def test_blocks_of_anchors(block, monkeypatch):
    counts = [5, 7, 1, 6, 11]
    embeddings = faces(counts, 0.7)
    monkeypatch.setattr(mining, "BLOCK", block)
    for rule in mining.RULES:
        check(select_triplets(embeddings, counts, 4, 0.2, np.random.default_rng(0), rule),
              candidates(embeddings, counts, 4, 0.2, rule))


def test_recorded_selection_of_facenet():
    """Three people of six: 45 pairs, 42 triplets. facenet's draws must be candidates here."""
    embeddings = np.random.RandomState(5).randn(18, 8)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    counts = [6, 6, 6]
    assert num_pairs(counts, 3) == 45
    drawn = {}
    for seed in range(200):
        triplets = select_triplets(embeddings, counts, 3, 0.2, np.random.default_rng(seed))
        assert len(triplets) == 42
        for a, p, n in triplets.tolist():
            drawn.setdefault((a, p), set()).add(n)
    for a, p, n in [(6, 7, 4), (7, 9, 0), (9, 11, 5), (1, 5, 15), (6, 9, 16), (1, 3, 13)]:
        assert n in drawn[a, p]


@pytest.mark.usefixtures("guesses")
@pytest.mark.parametrize(("rule", "angles", "expected"), [
    # The person at 0°, all copies; others at these angles. alpha 0.2 reaches to 2 − 2 cos θ = 0.2, 25.8°.
    ("vgg", [0, 0, 5, 10, 25, 26, 90, *range(30, 60)], [0, 1, 2, 3, 4]),
    ("semi_hard", [0, 0, 5, 10, 25, 26, 90, *range(30, 60)], [2, 3, 4]),
    ("vgg", [*range(24), 180], range(24))])
def test_all_candidates_are_as_likely(rule, angles, expected):
    """χ² of 6,000 draws; with 1 in 1,000 good generators it would be larger."""
    copies = 50
    radians = np.deg2rad([*[0] * copies, *angles])
    embeddings = np.stack([np.cos(radians), np.sin(radians)], axis=1)
    counts = [copies, *[1] * len(angles)]
    rng = np.random.default_rng(1)
    negatives = np.concatenate([
        select_triplets(embeddings, counts, 1, 0.2, rng, rule)[:, 2] - copies for _ in range(5)])
    drawn, times = np.unique(negatives, return_counts=True)
    assert drawn.tolist() == list(expected)
    assert len(negatives) == 5 * copies * (copies - 1) // 2
    mean = len(negatives) / len(drawn)
    largest = {3: 13.8, 5: 18.5, 24: 49.7}[len(drawn)]  # of 2, 4, 23 degrees of freedom
    assert ((times - mean) ** 2 / mean).sum() < largest


@pytest.mark.usefixtures("guesses")
def test_collapsed_embeddings():
    """All in one point: every image of other people is a candidate, and they are all drawn from."""
    embeddings, counts = np.tile([[0.6, 0.8]], (40, 1)), [10] * 4
    triplets = select_triplets(embeddings, counts, 4, 0.2, np.random.default_rng(0))
    check(triplets, candidates(embeddings, counts, 4, 0.2, "vgg"))
    assert len(set(triplets[:, 2].tolist())) > 30


@pytest.mark.parametrize("rule", sorted(mining.RULES))
def test_no_candidates_no_triplets(rule):
    """People far apart, one person alone, people of one image each."""
    rng = np.random.default_rng(0)
    apart = np.repeat(np.eye(4), 5, axis=0)
    for embeddings, counts in ((apart, [5] * 4), (apart[:5], [5]), (np.eye(4), [1] * 4)):
        triplets = select_triplets(embeddings, counts, 4, 0.2, rng, rule)
        assert triplets.shape == (0, 3)
        assert triplets.dtype.kind == "i"


def test_seeds():
    counts = [8] * 5
    embeddings = faces(counts, 1.0)
    first, again, other = (
        select_triplets(embeddings, counts, 5, 0.2, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[:, :2], other[:, :2])  # another order
    by_pair = [{(a, p): n for a, p, n in triplets.tolist()} for triplets in (first, other)]
    assert by_pair[0] != by_pair[1]  # other negatives


def test_wrong_arguments():
    with pytest.raises(ValueError, match="Unknown rule 'hard'. Choose one of: semi_hard, vgg"):
        select_triplets(np.eye(4), [2, 2], 2, 0.2, np.random.default_rng(0), "hard")
    with pytest.raises(ValueError, match="adds up to 5, but there are 4 embeddings"):
        select_triplets(np.eye(4), [2, 3], 2, 0.2, np.random.default_rng(0))


# People.

def test_recorded_sample_of_facenet():
    """Six people of 3, 5 … 13 images; legacy generator, as facenet seeds it."""
    labels = np.repeat(np.arange(6), [3, 5, 7, 9, 11, 13])
    images, counts = sample_people(labels, 3, 5, np.random.RandomState(11))
    first = np.flatnonzero(np.diff(labels, prepend=-1))
    names = [f"c{labels[image]}_{image - first[labels[image]]}" for image in images]
    assert " ".join(names) == "c4_8 c4_3 c4_6 c4_10 c4_9 c2_3 c2_1 c2_0 c2_2 c2_6 c5_8 c5_6 c5_2 c5_9 c5_12"
    assert counts.tolist() == [5, 5, 5]


@pytest.mark.parametrize(("sizes", "people", "per_person", "total"), [
    ([9, 9, 9, 9], 3, 4, 12), ([2, 3, 1, 9, 4], 3, 4, 12), ([2, 3, 1, 2], 3, 4, 8), ([1, 1, 50], 2, 30, 32)])
def test_sampled_people(sizes, people, per_person, total):
    """No image twice, at most per_person of a person, the budget kept or all that there is taken."""
    rng = np.random.default_rng(5)
    labels = rng.permutation(np.repeat([7, 3, 11, 0, 2][: len(sizes)], sizes))
    for seed in range(20):
        images, counts = sample_people(labels, people, per_person, np.random.default_rng(seed))
        assert len(images) == len(set(images.tolist())) == counts.sum() == total
        assert counts.max() <= per_person
        groups = np.split(labels[images], np.cumsum(counts)[:-1])
        assert all(len(set(group.tolist())) == 1 for group in groups)
        assert len({group[0] for group in groups}) == len(groups)
        # Only the last person may be cut.
        full = [min(per_person, int((labels == group[0]).sum())) for group in groups]
        assert counts[:-1].tolist() == full[:-1]


def test_sampling_reaches_everybody_and_repeats():
    labels = np.repeat(np.arange(6), 4)
    seen = np.zeros(24, int)
    for seed in range(300):
        images, _ = sample_people(labels, 2, 3, np.random.default_rng(seed))
        np.testing.assert_array_equal(images, sample_people(labels, 2, 3, np.random.default_rng(seed))[0])
        seen[images] += 1
    # 300 · 6 draws over 24 images: 75 each, standard deviation 7.5.
    assert 45 < seen.min() <= seen.max() < 105


@pytest.mark.parametrize(("labels", "people", "per_person"), [
    ([4, 4, 4], 2, 2), ([0, 1, 2], 1, 2), ([], 2, 2), ([0, 1, 2], 2, 0)])
def test_triplets_need_two_people(labels, people, per_person):
    with pytest.raises(ValueError, match="Triplets need two people: got the images of .*Add people"):
        sample_people(np.array(labels, int), people, per_person, np.random.default_rng(0))
