"""The drawn faces: the same everywhere, different people, hard for pixels."""

import hashlib

import cv2
import numpy as np
import pytest

from tests import process
from tf_facenet.data import drawn, drawn_camera, drawn_traits

DIGEST = "import hashlib; from tf_facenet.data import drawn; " \
    "print(hashlib.sha256(drawn.draw_images([3, 9], [0, 5], 64, 7).tobytes()).hexdigest())"
# Means over 14 x 14 pixels of the middle colour of picture 5 of person 17, seed 0.
THUMBNAIL = [
    [19, 52, 75, 96, 115, 94, 49, 23],
    [9, 51, 74, 34, 28, 86, 118, 51],
    [20, 32, 28, 23, 28, 86, 112, 119],
    [32, 52, 99, 95, 161, 133, 129, 212],
    [62, 102, 128, 126, 152, 137, 181, 222],
    [91, 96, 121, 137, 150, 163, 148, 156],
    [123, 126, 124, 119, 106, 142, 122, 91],
    [126, 142, 125, 81, 100, 112, 89, 76],
]


def distances(images):
    """Squared L2 [P] between rows 2i and 2i + 1."""
    rows = images.reshape(len(images), -1).astype(np.float64)
    return np.square(rows[0::2] - rows[1::2]).sum(axis=1)


def standardized(images):
    rows = images.reshape(len(images), -1).astype(np.float64)
    return (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)


def accuracy(distance, same, folds):
    """Mean over the folds of the accuracy at the other folds' best threshold."""
    thresholds = np.quantile(distance, np.linspace(0, 1, 200))
    right = (distance < thresholds[:, None]) == same
    return np.mean([right[right[:, folds != fold].mean(axis=1).argmax(), folds == fold].mean()
                    for fold in np.unique(folds)])


def decoded(samples):
    """RGB [n, size, size, 3] of JPEG bytes; equal bytes objects are decoded once."""
    images = {id(s): cv2.imdecode(np.frombuffer(s, np.uint8), cv2.IMREAD_COLOR_RGB)
              for s in samples}
    return np.stack([images[id(s)] for s in samples])


def test_two_processes_draw_the_same():
    mine = hashlib.sha256(drawn.draw_images([3, 9], [0, 5], 64, 7).tobytes()).hexdigest()
    done = process.python("-c", DIGEST)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == mine


def test_a_picture_does_not_depend_on_the_others():
    alone = drawn.draw_images([8], [3], 64)[0]
    assert np.array_equal(drawn.draw_images([2, 8, 5], [0, 3, 3], 64)[1], alone)
    assert not np.array_equal(drawn.draw_images([8], [3], 64, seed=1)[0], alone)
    few, many = drawn.draw(2, 2, 48, first=6), drawn.draw(4, 3, 48, first=5)
    assert few.samples[0] == many.samples[3]  # picture 0 of person 6
    assert few.samples[3] == many.samples[7]  # picture 1 of person 7


def test_the_same_on_every_machine():
    image = drawn.draw_images([17], [5], 112)[0]
    means = image.reshape(8, 14, 8, 14, 3).mean(axis=(1, 3))[:, :, 1]
    assert np.abs(means - np.array(THUMBNAIL)).max() <= 1


def test_random_words_are_philox():
    """Independent restatement of Philox4x64-10 for one block."""
    mask = 2**64 - 1
    counter, key = [1, 5, 9, drawn_traits.STREAMS.index("colors")], [3, 0]
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [(second >> 64) ^ counter[1] ^ key[0], second & mask,
                   (first >> 64) ^ counter[3] ^ key[1], first & mask]
        key = [(key[0] + 0x9E3779B97F4A7C15) & mask, (key[1] + 0xBB67AE8584CAA73B) & mask]
    assert drawn_traits.raw_words("colors", 4, 3, 9, 5).tolist() == counter


def test_ten_thousand_people_are_distinct():
    rows = np.stack([drawn_traits.uniforms("person", len(drawn_traits.PERSON), 0, k)
                     for k in range(10_000)]).astype(np.float32)
    squares = np.square(rows).sum(axis=1)
    nearest = np.inf
    for start in range(0, len(rows), 1000):
        part = slice(start, start + 1000)
        apart = squares[part, None] + squares - 2 * rows[part] @ rows.T
        apart[np.arange(1000), start + np.arange(1000)] = np.inf
        nearest = min(nearest, apart.min())
    # Two random people are √(traits / 6) ≈ 3 apart.
    assert np.sqrt(nearest) > 1


def test_traits_stay_in_their_ranges():
    people = [drawn_traits.person_traits(1, k) for k in range(300)]
    for name in set(drawn_traits.PERSON) - {"eye_distance", "eye_width", "mouth_width"}:
        low, high = drawn_traits.PERSON[name]
        values = np.array([getattr(person, name) for person in people])
        assert low <= values.min() < low + (high - low) / 20, name
        assert high >= values.max() > high - (high - low) / 20, name
    shots = [drawn_traits.picture_traits(1, 4, j) for j in range(2000)]
    for name, chance in drawn_traits.CHANCES.items():
        share = np.mean([getattr(shot, name) for shot in shots])
        assert abs(share - chance) < 0.02, name


def change(monkeypatch, **traits):
    """Difference of one picture's pixels with and without a nuisance."""
    def picture(**changed):
        shot = drawn_traits.picture_traits(0, 11, 4)
        vars(shot).update(dict.fromkeys(drawn_traits.CHANCES, False), noise=0, blur=0)
        vars(shot).update(changed)
        monkeypatch.setattr(drawn_traits, "picture_traits", lambda *key: shot)
        image = drawn_camera.picture(0, 11, 4, 112).astype(int)
        monkeypatch.undo()
        return image
    return np.abs(picture(**traits) - picture()).mean()


@pytest.mark.parametrize("traits", [
    {"yaw": 0.3}, {"pitch": -0.2}, {"roll": 0.15}, {"scale": 0.36}, {"shift_x": 0.09},
    {"mouth_open": 0.15}, {"smile": -0.1}, {"brow_raise": 0.09}, {"blinks": True},
    {"has_glasses": True}, {"has_glasses": True, "dark_glasses": True}, {"has_hat": True},
    {"has_scarf": True}, {"has_patch": True, "patch_angle": 1.0}, {"dyed": True},
    {"lipstick": True}, {"gray": True}, {"has_shadow": True}, {"exposure": 0.6}, {"warmth": 0.3},
    {"gamma": 1.8}, {"light_strength": 0.9}, {"blur": 0.9}, {"blur": 0.95}, {"noise": 14},
    {"clutter": 0.99},
], ids=str)
def test_every_nuisance_shows(monkeypatch, traits):
    assert change(monkeypatch, **traits) > 0.1


@pytest.mark.parametrize("size", [64, 90, 160])
def test_a_face_is_the_same_at_every_size(size):
    large = drawn.draw_images([5], [2], 240)[0]
    small = drawn.draw_images([5], [2], size)[0]
    assert small.shape == (size, size, 3)
    expected = cv2.resize(large, (16, 16), interpolation=cv2.INTER_AREA).astype(int)
    found = cv2.resize(small, (16, 16), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(found - expected).mean() < 8


def test_pixels_hardly_verify():
    pairs = drawn.draw_pairs(people=200, images=10, num_folds=10, pairs_per_fold=80)
    images = decoded(pairs.images)
    gray = images @ np.array([0.299, 0.587, 0.114])
    small = np.stack([cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA)
                      for image in images])
    for pixels in (images, gray, small):
        for rows in (pixels, standardized(pixels)):
            assert 0.5 < accuracy(distances(rows), pairs.same, pairs.folds) < 0.75


def test_faces():
    faces = drawn.draw(people=3, images=2, size=40, seed=4, first=16)
    assert faces.names == ["person_000016", "person_000017", "person_000018"]
    assert faces.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert faces.labels.dtype == np.int64
    assert all(isinstance(sample, bytes) for sample in faces.samples)
    exact = drawn.draw_images([16, 16, 17, 17, 18, 18], [0, 1] * 3, 40, 4)
    assert np.abs(decoded(faces.samples).astype(int) - exact).mean() < 8


def test_sheet_has_a_row_for_each_person():
    page = drawn.sheet(people=2, images=3, size=32, seed=1, first=7)
    assert page.shape == (64, 96, 3)
    assert np.array_equal(page[32:, 64:], drawn.draw_images([8], [2], 32, 1)[0])


def whose(pairs, people, images, **kwargs):
    """(person, picture) of each of the pairs' images, found by their bytes."""
    faces = drawn.draw(people, images, **kwargs)
    rows = {sample: row for row, sample in enumerate(faces.samples)}
    return np.array([divmod(rows[image], images) for image in pairs.images]).reshape(-1, 2, 2)


@pytest.mark.parametrize(("people", "images", "folds", "per_fold", "expected"), [
    (12, 4, 3, 20, 20), (7, 3, 2, 600, None), (4, 2, 2, 600, 4)])
def test_pairs(people, images, folds, per_fold, expected):
    kwargs = {"size": 32, "seed": 2, "first": 40}
    pairs = drawn.draw_pairs(people, images, num_folds=folds, pairs_per_fold=per_fold, **kwargs)
    named = whose(pairs, people, images, **kwargs)
    assert np.array_equal(named[:, 0, 0] == named[:, 1, 0], pairs.same)
    assert (named[:, 0] != named[:, 1]).any(axis=1).all()
    assert len({frozenset(map(tuple, pair)) for pair in named.tolist()}) == len(pairs)
    people_of = [set(named[pairs.folds == fold, :, 0].ravel()) for fold in range(folds)]
    for fold in range(folds):
        inside = pairs.folds == fold
        assert pairs.same[inside].mean() == 0.5
        assert expected in (None, inside.sum())
        assert not any(people_of[fold] & people_of[other] for other in range(fold))
    assert len({id(image) for image in pairs.images}) == len(set(pairs.images))  # drawn once
    assert pairs.missing == []


def test_pairs_repeat_and_differ_by_seed():
    first, again, other = (drawn.draw_pairs(6, 3, 32, seed, num_folds=2) for seed in (1, 1, 2))
    assert first.images.tolist() == again.images.tolist()
    assert not set(first.images) & set(other.images)


def test_pairs_are_of_unseen_people_by_default():
    trained = set(drawn.draw(people=4, images=2, size=32).samples)
    assert not trained & set(drawn.draw_pairs(4, 2, 32, num_folds=2).images)


def test_spread_is_distinct():
    for total in (1, 2, 3, 12, 100, 1001):
        for start in (0, 7, 2**64 - 1):
            numbers = drawn._spread(total, total, np.uint64(start))
            assert sorted(numbers.tolist()) == list(range(total))


@pytest.mark.parametrize(("description", "settings"), [
    ("drawn", {}), ("drawn:", {}), ("drawn:people=400,images=20", {"people": 400, "images": 20}),
    ("drawn:size=96, seed=3, first=1000", {"size": 96, "seed": 3, "first": 1000})])
def test_parse(description, settings):
    assert drawn.parse(description) == settings


@pytest.mark.parametrize(("description", "message"), [
    ("drawn:persons=4", "sets 'persons'. Choose from: people, images, size, seed, first, as in "),
    ("drawn:400", "sets '400'. Choose from: people, "),
    ("drawn:people=many", "'drawn:people=many' sets people to 'many'; expected an integer, such "),
    ("drawn:people=1.5", "expected an integer, such as people=100."),
    ("drawn:people", "sets people to ''; expected an integer"),
    ("drawn:people=0", "people=0; expected people to be from 1 to 10000000."),
    ("drawn:images=0", "images=0; expected images to be from 1 to "),
    ("drawn:size=31", "size=31; expected size to be from 32 to 1024."),
    ("drawn:seed=-1", "seed=-1; expected seed to be from 0 to "),
    ("drawn:first=-1", "first=-1; expected first to be from 0 to ")])
def test_parse_refuses(description, message):
    with pytest.raises(ValueError) as error:
        drawn.parse(description)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_out_of_range():
    for function in (drawn.draw, drawn.draw_pairs, drawn.sheet):
        with pytest.raises(ValueError, match="people=0; expected people to be from 1 to"):
            function(people=0)
    for wrong in ({"people": 19}, {"images": 1}, {"num_folds": 1}, {"pairs_per_fold": 1}):
        with pytest.raises(ValueError, match="expected at least 2 folds, 2 pairs and 2 people"):
            drawn.draw_pairs(**wrong)
