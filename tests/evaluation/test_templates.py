"""Templates against a case done by hand, a loop over images, and the mistakes of real files."""

import re

import numpy as np
import pytest

from tf_facenet.data import drawn
from tf_facenet.evaluation import templates

# Template 7: a video of two frames and a still; template 3: one still. On paper:
# 7 = mean((1, 0), (0, 1)) + (0, 1) = (.5, 1.5) -> (1, 3) / sqrt(10); 3 = (4, 3) / 5; cosine = 13 / (5 sqrt(10)).
FEATURES = np.array([[1, 0], [4, 3], [0, 1], [0, 1]], np.float32)
TEMPLATES, MEDIA = [7, 3, 7, 7], [20, 20, 20, 5]


def test_by_hand():
    names, vectors = templates.pool(FEATURES, TEMPLATES, MEDIA)
    assert names.tolist() == [3, 7]
    np.testing.assert_allclose(vectors, [[0.8, 0.6], [10**-0.5, 3 * 10**-0.5]], rtol=1e-6)
    cosine = templates.similarities(names, vectors, [[7, 3], [3, 3]])
    np.testing.assert_allclose(cosine, [13 / 5 * 10**-0.5, 1], rtol=1e-6)


def test_the_three_switches_by_hand():
    _, (three, seven) = templates.pool(FEATURES, TEMPLATES, MEDIA, scores=[1.0, 1.0, 3.0, 0.0])
    np.testing.assert_allclose(seven, [10**-0.5, 3 * 10**-0.5], rtol=1e-6)  # mean((1, 0), (0, 3)) + 0
    _, (three, seven) = templates.pool(FEATURES, TEMPLATES, MEDIA, mirrored=FEATURES[[0, 2, 2, 3]])
    np.testing.assert_allclose(three, [2**-0.5, 2**-0.5], rtol=1e-6)  # (4, 3) + (0, 1)
    _, (three, seven) = templates.pool(3 * FEATURES[[0, 1, 2]], [1, 1, 2], [1, 2, 1], keep_norm=False)
    np.testing.assert_allclose(three, np.array([1.8, 0.6]) / np.hypot(1.8, 0.6), rtol=1e-6)  # (1, 0) + (.8, .6)


def by_loops(features, names, media, scores, mirrored, keep_norm):
    pooled = {}
    for template in sorted(set(names)):
        total = np.zeros(features.shape[1])
        for medium in sorted({m for m, t in zip(media, names, strict=True) if t == template}):
            images = []
            for row in range(len(features)):
                if names[row] == template and media[row] == medium:
                    image = features[row].astype(float) + mirrored[row]
                    image = image if keep_norm else image / np.linalg.norm(image)
                    images.append(image * scores[row])
            total += sum(images) / len(images)
        pooled[template] = total / np.linalg.norm(total)
    return pooled


@pytest.mark.parametrize("keep_norm", [True, False])
@pytest.mark.parametrize("chunk", [1, 40, 2**20])
def test_equals_loops(monkeypatch, chunk, keep_norm):
    monkeypatch.setattr(templates, "CHUNK_VALUES", chunk)
    rng = np.random.default_rng(0)
    features, mirrored = rng.normal(size=(2, 90, 6)).astype(np.float32)
    names, media, scores = rng.integers(0, 12, 90), rng.integers(0, 5, 90), rng.uniform(size=90)
    expected = by_loops(features, names.tolist(), media.tolist(), scores, mirrored, keep_norm)
    pairs = rng.choice(sorted(expected), (50, 2))
    report = templates.verify(features, names, media, pairs, np.arange(50) < 20, (0.1, 0.5), scores=scores,
                              mirrored=mirrored, keep_norm=keep_norm)
    cosines = [expected[a] @ expected[b] for a, b in pairs]
    np.testing.assert_allclose(report.similarities, cosines, atol=1e-6)


@pytest.mark.parametrize("far", [0, 0.04, 0.1, 0.25, 0.999])
def test_rates_equal_counting(far):
    rng = np.random.default_rng(1)
    same = rng.uniform(size=400) < 0.25
    values = np.round(rng.normal(size=400) + same, 1)  # with many ties
    tar, met, threshold = (value[0] for value in templates.rates(values, same, [far]))
    best = max((np.mean(values[same] > t), -t) for t in values[~same] if np.mean(values[~same] > t) <= far)
    assert (tar, threshold) == pytest.approx((best[0], -best[1]))
    assert met == pytest.approx(np.mean(values[~same] > threshold))
    assert met <= far


def test_rates_allow_whole_pairs():
    """0.1 of 30 pairs are three, though 0.1 * 30 is a little less in binary."""
    values = np.r_[np.arange(30.0), 27.5]
    tar, far, threshold = templates.rates(values, np.arange(31) == 30, [0.1])
    assert (tar[0], threshold[0]) == (1, 26)
    assert far[0] == pytest.approx(0.1)


def test_drawn_people_by_their_pixels():
    """Templates of several drawn images tell people apart better than single images."""
    people, images = 12, 8
    pixels = drawn.draw_images(np.repeat(np.arange(people), images), np.tile(np.arange(images), people), 32)
    features = pixels.reshape(len(pixels), -1).astype(np.float32)
    features -= features.mean(0)

    def tar(per_template):
        names = np.arange(len(features)) // per_template
        a, b = np.triu_indices(names[-1] + 1, 1)
        same = a * per_template // images == b * per_template // images
        return templates.verify(features, names, np.arange(len(names)), np.stack([a, b], 1), same, [0.1]).tars[0]

    assert tar(4) > tar(1) + 0.1


def test_report_is_a_table():
    report = templates.verify(FEATURES, TEMPLATES, MEDIA, [[7, 7], [7, 3]], [True, False], (1e-6, 0.1))
    *table, last = report.lines()
    assert [line.split() for line in table] == [
        ["target", "FAR", "TAR", "FAR", "threshold"],
        ["1e-06", "1.00000", "0.00e+00", "0.8222"], ["1e-01", "1.00000", "0.00e+00", "0.8222"]]
    assert last == "1 pairs of different people cannot show a false accept rate of 0.1; the smallest that they can is 1"


@pytest.mark.parametrize(("change", "message"), [
    ({"features": FEATURES[0]}, r"features have the shape (2,); expected one row for each image, [N, D]"),
    ({"templates": [1, 2]}, r"templates have the shape (2,); expected one for each of the 4 images"),
    ({"media": [[1] * 4]}, r"media have the shape (1, 4); expected one for each"),
    ({"scores": [1.0]}, r"scores have the shape (1,)"),
    ({"mirrored": FEATURES[:2]}, r"mirrored features have the shape (2, 2); expected (4, 2)"),
    ({"features": np.where(FEATURES > 3, np.nan, FEATURES)}, "features hold NaN or infinity"),
    ({"pairs": [[7, 8], [7, 3]]}, "the pairs name template 8, of which there is no image"),
    ({"pairs": [7, 3]}, r"pairs have the shape (2,); expected two templates for each"),
    ({"same": [True, True]}, "2 similarities and 2 same of 2 pairs; verification needs both kinds"),
    ({"same": [True]}, "2 similarities and 1 same of 1 pairs"),
    ({"fars": [1.0]}, "false accept rates [1.0]; expected numbers from 0 to below 1"),
])
def test_mistakes(change, message):
    arguments = {"features": FEATURES, "templates": TEMPLATES, "media": MEDIA, "pairs": [[7, 7], [7, 3]],
                 "same": [True, False]} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        templates.verify(**arguments)


def write(tmp_path, text):
    (tmp_path / "meta.txt").write_text(text)
    return tmp_path / "meta.txt"


def test_ijbs_files(tmp_path):
    names, template, media = templates.read_media(write(tmp_path, "1.jpg 1 69544\n2.jpg 1 -3\n"))
    assert (names, template.tolist(), media.tolist()) == (["1.jpg", "2.jpg"], [1, 1], [69544, -3])
    points = " ".join(map(str, range(10)))
    names, landmarks, scores = templates.read_scores(write(tmp_path, f"1.jpg {points} 0.5\n2.jpg {points} 1\n"))
    assert names == ["1.jpg", "2.jpg"]
    assert landmarks[1].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert scores.tolist() == [0.5, 1]
    pairs, same = templates.read_pairs(write(tmp_path, "1 11065 1\n1 11066 0\n"))
    assert (pairs.tolist(), same.tolist()) == ([[1, 11065], [1, 11066]], [True, False])


@pytest.mark.parametrize(("read", "text", "message"), [
    ("media", "1.jpg 1 2\n2.jpg 1\n", "meta.txt', line 2: expected 'image template medium', got '2.jpg 1'"),
    ("media", "1.jpg 1 2 3\n", "line 1: expected 'image template medium'"),
    ("media", "", "meta.txt' is empty; expected 'image template medium' in each line"),
    ("scores", "1.jpg 1 2 3 4 5 6 7 8 9 10\n", "line 1: expected 'image', five 'x y' and a score"),
    ("pairs", "", "meta.txt': expected 'template template label' in each line"),
    ("pairs", "1 2\n", "expected 'template template label' in each line"),
    ("pairs", "1 2 0\n1 2\n", "number of columns changed from 3 to 2 at row 2"),
    ("pairs", "1 2 x\n", "could not convert string 'x'"),
    ("pairs", "1 2 2\n", "the label 0 or 1"),
])
def test_malformed_files(tmp_path, read, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(templates, f"read_{read}")(write(tmp_path, text))
