"""Every picture is a readable PNG with ink on it."""

import dataclasses

import cv2
import numpy as np
import pytest

from tf_facenet.evaluation import plots
from tf_facenet.evaluation.verification import evaluate


def ink(path):
    """Share of pixels of a PNG that are not white."""
    picture = cv2.imread(str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
    return (picture < 250).any(axis=-1).mean()


def report(noise, distance="squared-L2"):
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.standard_normal((100, 16)), 2, axis=0)
    same = np.arange(100) % 2 == 0
    rows[1::2][~same] = rng.standard_normal((50, 16))
    rows += noise * rng.standard_normal(rows.shape)
    return evaluate(rows / np.linalg.norm(rows, axis=1, keepdims=True), same, distance=distance)


@pytest.mark.parametrize("draw", [plots.roc, plots.histogram])
@pytest.mark.parametrize("noise", [0.01, 0.5, 100])
@pytest.mark.parametrize("distance", ["squared-L2", "cosine"])
def test_verification_pictures(tmp_path, draw, noise, distance):
    path = tmp_path / "picture.png"
    draw(report(noise, distance), path)
    assert ink(path) > 0.01


def test_hardest_pairs_from_paths_and_bytes(tmp_path):
    result = report(0.5)
    encoded = cv2.imencode(".png", np.full((20, 16, 3), 90, np.uint8))[1].tobytes()
    (tmp_path / "face.png").write_bytes(encoded)
    images = np.array([encoded, str(tmp_path / "face.png")] * 100, object)
    plots.hardest(result, images, tmp_path / "pairs.png", count=3)
    assert ink(tmp_path / "pairs.png") > 0.2


def test_curves_with_gaps(tmp_path):
    gaps = np.full(60, np.nan)
    gaps[9::10] = 0.9
    history = {"step": list(range(60)), "loss": np.linspace(8, 1, 60).tolist(),
               "learning_rate": [0.1] * 60, "accuracy": np.linspace(0, 1, 60).tolist(),
               "lfw_accuracy": gaps.tolist(), "comment": [float("nan")] * 60}
    plots.curves(history, tmp_path / "curves.png")
    four_panels = cv2.imread(str(tmp_path / "curves.png")).shape
    assert ink(tmp_path / "curves.png") > 0.01
    plots.curves({"loss": [3.0, 2.0, float("nan")]}, tmp_path / "loss.png")
    assert cv2.imread(str(tmp_path / "loss.png")).shape[1] * 2 == four_panels[1]


@pytest.mark.parametrize("count", [2, 100])
def test_by_quality_in_a_new_folder(tmp_path, count):
    path = tmp_path / "new" / "quality.png"
    few = dataclasses.replace(report(0.5), distances=np.arange(count) % 2, same=np.arange(count) % 2 == 0,
                              quality=np.linspace(1, 2, count))
    plots.by_quality(few, path)
    assert ink(path) > 0.01


def test_each_column_has_one_panel():
    columns = {name: np.ones(3) for name in ("lfw_accuracy", "val_loss", "accuracy", "epoch")}
    columns["loss"] = np.full(3, np.nan)
    drawn = {panel[0]: list(plots._columns_of(panel, columns)) for panel in plots.PANELS}
    assert drawn == {"LFW verification": ["lfw_accuracy"], "Loss": ["val_loss"],
                     "Accuracy": ["accuracy"], "Learning rate": []}


def test_curves_without_numbers(tmp_path):
    with pytest.raises(ValueError, match=r"nothing to draw in its columns \(loss, epoch\)"):
        plots.curves({"step": [1], "loss": [float("nan")], "epoch": [1]}, tmp_path / "x.png")
