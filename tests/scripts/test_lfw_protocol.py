"""The published network on all 6,000 pairs of LFW: from its PyTorch file to the script's result, beside recorded ones.

TensorFlow decodes JPEG files up to 4 of 255 differently from what the recorded figures were made with; hence the
tolerances.
"""

import json

import numpy as np
import pytest
import tensorflow as tf

import validate_on_lfw
from tf_facenet import cli
from tf_facenet.inference import embedder
from tf_facenet.inference.embedder import Embedder

METRICS = ("squared-L2", "cosine")


@pytest.fixture(scope="module")
def recorded(shared):
    """Embeddings and results of facenet's code and PyTorch."""
    return np.load(shared / "reference" / "lfw_casia_eval.npz")


@pytest.fixture(scope="module")
def features():
    """What the network gives for the images and for the mirrored images, once it was asked: [12000, 128] each."""
    return []


@pytest.fixture(scope="module")
def validate(shared, features, tmp_path_factory):
    """The script with its options → the JSON that it writes; the network runs for the first call only."""
    folder = tmp_path_factory.mktemp("lfw")
    model, result = str(folder / "casia.keras"), folder / "result.json"
    weights = shared / "weights" / "mobilefacenet_casia" / "068.ckpt"
    assert cli.run_command(["convert", str(weights), "--backbone", "mobilefacenet", model]) == 0
    embed = Embedder.embed

    def remembered(self, samples, flip="none", progress=None, quality=False):
        features[:] = features or np.split(embed(self, samples, "both", progress), 2, axis=1)
        rows = embedder.FLIPS[flip](features[0], lambda: features[1]).numpy()
        return (rows, np.linalg.norm(features[0], axis=1)) if quality else rows

    def run(*options):
        data = shared / "data"
        assert validate_on_lfw.main([
            str(data / "lfw_112"), model, "--lfw_pairs", str(data / "lfw_protocol" / "pairs.txt"), "--crop", "left",
            "--quiet", "--json", str(result), *options]) == 0
        return json.loads(result.read_text())

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embedder.FLIPS, "both", lambda own, mirrored: tf.concat([own, mirrored()], axis=1))
        patch.setattr(Embedder, "embed", remembered)
        yield run


@pytest.mark.slow
@pytest.mark.parametrize("metric", [0, 1])
@pytest.mark.parametrize("flip", ["none", "sum", "concat"])
def test_all_pairs_as_recorded(validate, recorded, flip, metric):
    result = validate("--flip", flip, "--distance_metric", str(metric))
    case = f"{'noflip' if flip == 'none' else f'flip_{flip}'}/metric{metric}_subtract0"
    accuracy, _, _, _, _, auc, eer = recorded[f"{case}/result"]
    assert (result["num_pairs"], result["missing"], result["distance"]) == (6000, [], METRICS[metric])
    assert result["accuracy"] == pytest.approx(accuracy, abs=1e-3)
    assert result["val"] == pytest.approx(recorded[f"{case}/stable_val"][0], abs=4e-3)
    if np.isfinite(eer):  # facenet's thresholds end at 4; squared distances of concatenated embeddings at 8
        assert result["auc"] == pytest.approx(auc, abs=5e-4)
        assert result["eer"] == pytest.approx(eer, abs=2e-3)


@pytest.mark.slow
def test_embeddings_as_recorded(validate, features, recorded):
    validate()
    for name, own in zip(("emb", "emb_flip"), features, strict=True):
        theirs = recorded[name][recorded["pairs"].ravel()].astype("float32")
        cosines = np.sum(own * theirs, axis=1) / np.linalg.norm(own, axis=1) / np.linalg.norm(theirs, axis=1)
        assert cosines.min() > 0.995
