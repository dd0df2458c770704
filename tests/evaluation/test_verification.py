"""The protocol against facenet's recorded numbers, a plain loop, and cases with known answers."""

import json
import math
import re

import numpy as np
import pytest

from tf_facenet.evaluation.rates import FalseAccepts
from tf_facenet.evaluation.verification import choose_threshold, evaluate

METRICS = ("squared-L2", "cosine")  # facenet's distance_metric 0 and 1


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def random_pairs(num_pairs, dimensions=16, noise=0.8, offset=0.2, seed=0):
    """Unit rows with a common offset, and alternating same and different pairs."""
    rng = np.random.default_rng(seed)
    same = np.arange(num_pairs) % 2 == 0
    left, other = rng.standard_normal((2, num_pairs, dimensions))
    right = np.where(same[:, None], left, other)
    rows = np.stack([left, right], axis=1).reshape(-1, dimensions)
    rows += noise * rng.standard_normal(rows.shape) + offset
    return unit(rows), same


def generated_6000():
    """The 6000 pairs of the recorded run of facenet's code (legacy generator, seed 2024)."""
    rs = np.random.RandomState(2024)
    rows, same = [], []
    for pair in range(6000):
        same.append((pair // 300) % 2 == 0)
        a = rs.randn(64)
        b = a if same[-1] else rs.randn(64)
        left, right = rs.randn(64), rs.randn(64)
        rows += [a + 0.7 * left + 0.3, b + 0.7 * right + 0.3]
    return unit(np.array(rows)), np.array(same)


def generated_600():
    """The 600 pairs of the recorded run (seed 42)."""
    rs = np.random.RandomState(42)
    base = rs.randn(600, 32)
    same = (np.arange(600) // 30) % 2 == 0
    rows = []
    for a, is_same in zip(base, same, strict=True):
        b = a + 0.9 * rs.randn(32) if is_same else rs.randn(32)
        rows += [a + 0.5, b + 0.5]
    return unit(np.array(rows)), same


def false_accepts(report, threshold):
    """Counted one by one."""
    different = [distance for distance, same in zip(report.distances, report.same, strict=True) if not same]
    return FalseAccepts(sum(distance < threshold for distance in different), len(different))


def test_generated_pairs_are_the_recorded_ones():
    rows, _ = generated_6000()
    assert rows.sum() == pytest.approx(22775.19362020719, abs=1e-8)
    assert rows[0, :2] == pytest.approx([0.24500411, 0.16202071], abs=1e-8)


@pytest.mark.parametrize(("distance", "subtract_mean", "expected"), [
    ("squared-L2", False, (.99833333, .00149071, .998, .00221108, .99999244, .00133333)),
    ("squared-L2", True, (.99833333, .00149071, .998, .00221108, .99999244, .00133333)),
    ("cosine", False, (.99833333, .00166667, .998, .00221108, .99999206, .0015)),
    ("cosine", True, (.999, .0008165, .99866667, .00266667, .99999283, .00116667)),
])
def test_facenet_on_6000_generated_pairs(distance, subtract_mean, expected):
    report = evaluate(*generated_6000(), distance=distance, subtract_mean=subtract_mean)
    measured = (report.accuracy, report.accuracy_std, report.val, report.val_std, report.auc,
                report.eer)
    assert measured == pytest.approx(expected, abs=1e-8)
    assert report.far == pytest.approx(0.001, abs=1e-8)
    # Each fold has 300 different pairs, which do not show 0.001, but all of them have 3,000, which do.
    assert report.shows_target
    assert report.false_accepts == false_accepts(report, report.far_threshold)
    assert report.of_all_pairs() == (
        "At the threshold for FAR 0.001: 3 of 3000 pairs of different people, a rate of 0.001 "
        "(95 % interval 0.00034 to 0.0029)")


def test_facenet_on_generated_pairs_of_norm_sqrt_2():
    """facenet's grid ends at 3.99, where its FPR is 0.6757 and its EER raises; ours goes on."""
    rows, same = generated_6000()
    report = evaluate(np.hstack([rows, rows]), same)
    fpr, tpr = report.roc
    assert report.accuracy == pytest.approx(0.9985, abs=1e-8)
    assert fpr[399] == pytest.approx(0.67566667, abs=1e-8)
    assert fpr[-1] == tpr[-1] == 1
    single = evaluate(rows, same)
    assert report.eer == pytest.approx(single.eer, abs=5e-4)
    assert report.auc == pytest.approx(single.auc, abs=1e-5)


def test_facenet_on_600_generated_pairs():
    rows, same = generated_600()
    report = evaluate(rows, same)
    assert (report.accuracy, report.accuracy_std) == pytest.approx((.99333333, .00816497), abs=1e-8)
    assert (report.val, report.val_std) == pytest.approx((.99, .01527525), abs=1e-8)
    assert (report.far, report.auc) == pytest.approx((.00333333, .99988889), abs=1e-8)
    plain = evaluate(rows, same, distance="cosine")
    assert plain.accuracy == pytest.approx(.99666667, abs=1e-8)
    centred = evaluate(rows, same, distance="cosine", subtract_mean=True)
    assert centred.alone == plain.alone == (plain.threshold, false_accepts(plain, plain.threshold))
    assert centred.threshold != plain.threshold
    assert centred.accuracy == pytest.approx(.99166667, abs=1e-8)


@pytest.mark.parametrize("metric", [0, 1])
@pytest.mark.parametrize("subtract", [0, 1])
def test_recorded_verification_of_facenet(shared, metric, subtract):
    recorded = np.load(shared / "reference" / "facenet.npz")
    report = evaluate(recorded["verification/embeddings"], recorded["verification/same"],
                      distance=METRICS[metric], subtract_mean=bool(subtract))
    case = f"verification/metric{metric}_subtract{subtract}"
    assert report.roc[0] == pytest.approx(recorded[f"{case}/fpr"], abs=1e-12)
    assert report.roc[1] == pytest.approx(recorded[f"{case}/tpr"], abs=1e-12)
    assert report.fold_accuracies == pytest.approx(recorded[f"{case}/accuracy"], abs=1e-12)
    assert report.auc == pytest.approx(float(recorded[f"{case}/auc"]), abs=1e-9)
    assert report.eer == pytest.approx(float(recorded[f"{case}/eer"]), abs=1e-9)


@pytest.mark.parametrize("metric", [0, 1])
@pytest.mark.parametrize("subtract", [0, 1])
@pytest.mark.parametrize("view", ["noflip", "flip_sum", "flip_concat"])
def test_recorded_lfw(shared, view, metric, subtract):
    recorded = np.load(shared / "reference" / "lfw_casia_eval.npz")
    rows, mirrored = (recorded[name].astype(np.float32) for name in ("emb", "emb_flip"))
    rows = {
        "noflip": lambda: unit(rows),
        "flip_sum": lambda: unit(rows + mirrored),
        "flip_concat": lambda: np.hstack([unit(rows), unit(mirrored)]),
    }[view]()
    report = evaluate(rows[recorded["pairs"].ravel()], recorded["same"],
                      distance=METRICS[metric], subtract_mean=bool(subtract))
    case = f"{view}/metric{metric}_subtract{subtract}"
    accuracy, accuracy_std, *_, auc, eer = recorded[f"{case}/result"]
    assert (report.accuracy, report.accuracy_std) == pytest.approx((accuracy, accuracy_std),
                                                                   abs=1e-9)
    assert (report.val, report.val_std, report.far) == pytest.approx(
        recorded[f"{case}/stable_val"], abs=1e-9)
    if math.isnan(eer):  # facenet's grid ends before its ROC does
        fpr, tpr = report.roc
        assert np.trapezoid(tpr[:400], fpr[:400]) == pytest.approx(auc, abs=1e-9)
        assert report.auc > 0.998
        assert report.eer < 0.01
    else:
        assert (report.auc, report.eer) == pytest.approx((auc, eer), abs=1e-9)


def loop_protocol(rows, same, folds, distance, subtract_mean, target_far):
    """The protocol in plain loops over folds and thresholds."""
    def distances_minus(mean):
        result = []
        for a, b in zip(rows[0::2] - mean, rows[1::2] - mean, strict=True):
            if distance == "squared-L2":
                result.append(((a - b) ** 2).sum())
            else:
                cosine = (a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum())
                result.append(math.acos(max(-1.0, min(1.0, cosine))) / math.pi)
        return np.array(result)

    def rates(values, which, threshold):
        accepted = values < threshold
        return [accepted[which & (same == kind)].mean() for kind in (True, False)]

    accuracies, thresholds, vals, fars, curves = [], [], [], [], []
    for fold in np.unique(folds):
        inside, outside = folds == fold, folds != fold
        sides = np.repeat(outside, 2)
        values = distances_minus(rows[sides].mean(axis=0) if subtract_mean else 0.0)
        last = int(max(4, values.max() + 1))
        scores = [((values < t) == same)[outside].mean() for t in np.arange(0, last, 0.01)]
        thresholds.append(0.01 * scores.index(max(scores)))
        accuracies.append(((values < thresholds[-1]) == same)[inside].mean())
        curves.append([rates(values, inside, t) for t in np.arange(0, last, 0.01)])
        far = [rates(values, outside, t)[1] for t in np.arange(0, last, 0.001)]
        at = max(i for i, rate in enumerate(far) if rate <= target_far)
        threshold = 0.001 * (at + (target_far - far[at]) / (far[at + 1] - far[at]))
        val, test_far = rates(values, inside, threshold)
        vals.append(val)
        fars.append(test_far)
    longest = max(map(len, curves))
    curves = [curve + [[1.0, 1.0]] * (longest - len(curve)) for curve in curves]
    tpr, fpr = np.mean(curves, axis=0).T
    return np.mean(accuracies), np.std(accuracies), np.mean(vals), np.std(vals), np.mean(fars), \
        np.mean(thresholds), sum((fpr[1:] - fpr[:-1]) * (tpr[1:] + tpr[:-1]) / 2)


@pytest.mark.parametrize("subtract_mean", [False, True])
@pytest.mark.parametrize("distance", METRICS)
@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize("norm", [1, 1.7])
def test_agrees_with_plain_loops(distance, subtract_mean, scattered, norm):
    rows, same = random_pairs(67, seed=3)
    rows = rows * norm
    folds = np.random.default_rng(1).integers(0, 4, 67) * 3 if scattered \
        else np.repeat(np.arange(4), [17, 17, 17, 16])
    report = evaluate(rows, same, num_folds=4, distance=distance, subtract_mean=subtract_mean,
                      target_far=0.05, folds=folds if scattered else None)
    measured = (report.accuracy, report.accuracy_std, report.val, report.val_std, report.far,
                report.threshold, report.auc)
    assert measured == pytest.approx(
        loop_protocol(rows, same, folds, distance, subtract_mean, 0.05), abs=1e-12)


def test_perfect_embeddings():
    rows, same = random_pairs(200, dimensions=64, noise=0.001, offset=0)
    report = evaluate(rows, same)
    assert (report.accuracy, report.val, report.auc, report.eer) == (1, 1, 1, 0)
    assert report.distances[same].max() < report.threshold < report.distances[~same].min()


def test_chance_embeddings():
    rows = unit(np.random.default_rng(0).standard_normal((8000, 16)))
    report = evaluate(rows, np.arange(4000) % 2 == 0)
    assert (report.accuracy, report.auc, report.eer) == pytest.approx((0.5, 0.5, 0.5), abs=0.03)
    assert report.val == pytest.approx(0.001, abs=0.003)


def test_collapsed_embeddings_are_at_chance():
    same = np.arange(40) % 2 == 0
    for distance in METRICS:
        for subtract_mean in (False, True):
            report = evaluate(np.full((80, 4), 0.5), same, distance=distance,
                              subtract_mean=subtract_mean)
            assert (report.accuracy, report.auc, report.eer) == (0.5, 0.5, 0.5)


def test_float16_and_lists_are_accepted():
    rows, same = random_pairs(40)
    rows = rows.astype(np.float16)
    expected = evaluate(rows.astype(np.float64), same).to_json()
    assert evaluate(rows, same).to_json() == expected
    assert evaluate(rows.tolist(), same.astype(int).tolist()).to_json() == expected


def test_folds_of_one_kind_are_left_out_of_the_rate_they_lack():
    rows, same = random_pairs(60, dimensions=64, noise=0.05)
    only_same = np.where(same, np.arange(60) % 3, 2)  # folds 0 and 1 have no different pairs
    report = evaluate(rows, same, folds=only_same)
    assert (report.accuracy, report.auc, report.eer) == (1, 1, 0)
    # No different pair outside fold 2 gives it a threshold at the FAR: it accepts nothing.
    assert (report.val, report.far) == (pytest.approx(2 / 3), 0)

    only_different = np.where(same, 2, np.arange(60) % 3)
    report = evaluate(rows, same, folds=only_different)
    assert (report.val, report.auc, report.eer) == (1, 1, 0)


def test_default_folds_are_those_of_scikit_learn():
    model_selection = pytest.importorskip("sklearn.model_selection")
    rows, same = random_pairs(53)
    folds = np.empty(53, int)
    for fold, (_, inside) in enumerate(model_selection.KFold(7).split(same)):
        folds[inside] = fold
    assert evaluate(rows, same, 7).to_json() == evaluate(rows, same, folds=folds).to_json()


def test_missing_fold_numbers_do_not_count():
    rows, same = random_pairs(40)
    folds = np.repeat([0, 3, 7, 9], 10)
    report = evaluate(rows, same, folds=folds)
    assert report.to_json() == evaluate(rows, same, num_folds=4).to_json()
    assert len(report.fold_accuracies) == 4


def test_report_in_facenets_words_and_as_json():
    report = evaluate(*generated_600())
    assert report.lines() == [
        "Accuracy: 0.99333+-0.00816",
        "Validation rate: 0.99000+-0.01528 @ FAR=0.00333",
        "Area Under Curve (AUC): 1.000",
        f"Equal Error Rate (EER): {report.eer:.3f}",
    ]
    assert report.of_all_pairs() == (
        "300 pairs of different people cannot show a false accept rate of 0.001; the smallest that they can is 0.00334")
    result = json.loads(json.dumps(report.to_json()))
    assert (result["different_pairs"], result["false_accepts"]) == (300, report.false_accepts.accepted)
    assert (result["smallest_far"], result["far_interval"]) == (0.00334, report.false_accepts.interval)
    assert result["accuracy"] == report.accuracy
    assert (result["distance"], result["num_pairs"]) == ("squared-L2", 600)
    assert result["fold_accuracies"] == report.fold_accuracies.tolist()
    assert len(result["roc"]["fpr"]) == len(result["roc"]["tpr"]) <= 200
    assert result["roc"]["fpr"][0] == result["roc"]["tpr"][0] == 0
    assert result["roc"]["fpr"][-1] == result["roc"]["tpr"][-1] == 1


@pytest.mark.parametrize(("changes", "message"), [
    ({"embeddings": np.zeros((41, 4))}, "got shapes (41, 4) and (20,). Embed both images"),
    ({"embeddings": np.zeros(40)}, "embeddings must be [2P, D]"),
    ({"same": np.zeros(19, bool)}, "got shapes (40, 16) and (19,)"),
    ({"same": np.ones(20, bool)}, "All 20 pairs are same; verification needs both kinds."),
    ({"same": np.zeros(20, bool)}, "All 20 pairs are different; verification needs both kinds."),
    ({"num_folds": 21}, "20 pairs cannot be split into 21 folds. Choose from 2 to 20 folds"),
    ({"num_folds": 1}, "20 pairs cannot be split into 1 folds."),
    ({"folds": np.zeros(20, int)}, "All pairs are in fold 0;"),
    ({"folds": np.zeros(10, int)}, "fold of each of the 20 pairs, got shape (10,)"),
    ({"distance": "L3"}, "Unknown distance 'L3'. Choose one of: cosine, squared-L2."),
    ({"target_far": 1.0}, "target_far must lie in [0, 1), got 1.0"),
])
def test_errors_name_the_remedy(changes, message):
    rows, same = random_pairs(20)
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate(**{"embeddings": rows, "same": same, **changes})


def test_embeddings_that_are_not_finite_are_counted():
    rows, same = random_pairs(20)
    rows[3, 0], rows[8, 1], rows[9] = np.nan, np.inf, np.nan
    said = r"^3 of 40 embeddings hold NaN or infinity, the first is row 3 \(of pair 1, counted from 0\)\. The network"
    for measure in (evaluate, lambda rows, same: choose_threshold(rows, same, 0.1)):
        with pytest.raises(ValueError, match=said):
            measure(rows, same)


@pytest.mark.parametrize("norm", [1e-3, 0.02, 0.3, 30, 1e3])
def test_embeddings_of_any_norm(norm):
    rows, same = random_pairs(600)
    unit_rows, scaled = evaluate(rows, same), evaluate((norm * rows).astype(np.float32), same)
    for measure in ("accuracy", "auc", "eer"):
        assert getattr(scaled, measure) == pytest.approx(getattr(unit_rows, measure), abs=0.01)
    assert unit_rows.auc > 0.8
    assert scaled.threshold == pytest.approx(norm**2 * unit_rows.threshold, rel=0.05)
    chosen, _, accepted = choose_threshold(norm * rows, same, 0.1)
    assert chosen == pytest.approx(norm**2 * choose_threshold(rows, same, 0.1)[0])
    assert accepted == FalseAccepts(30, 300)
