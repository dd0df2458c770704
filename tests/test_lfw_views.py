"""The benchmark of LFW's two views: who is trained on, who is verified, and a run at the smallest size."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from benchmarks import lfw_views
from benchmarks.apart import people_of
from tests.pictures import encode, picture

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("fold", [None, *range(10)])  # the first view, and the folds of the second
def test_nobody_of_lfw_is_trained_on_and_verified(shared, fold):
    protocol = shared / "data/lfw_protocol"
    pairs = lfw_views.pairs_of(protocol, shared / "data/lfw_112", fold)
    assert len(pairs) == (1000 if fold is None else 600)
    assert not set(lfw_views.people_for(protocol, fold)) & set(people_of(pairs).ravel())


def test_every_fold_of_lfw_is_left_out_once(shared):
    sizes = [len(set(lfw_views.people_for(shared / "data/lfw_protocol", fold))) for fold in (None, *range(10))]
    assert sizes[:3] == [4038, 5749 - 601, 5749 - 555]
    assert sum(sizes[1:]) == 9 * 5749


def test_threshold_is_the_best_of_the_folds_that_are_given():
    folds = [([0.1, 0.3, 0.6], [True, True, False]), ([0.2, 0.5], [True, False])]
    threshold = lfw_views.best_threshold(folds)
    assert 0.3 < threshold <= 0.5
    assert all(lfw_views.accuracy(*fold, threshold) == 1 for fold in folds)


@pytest.mark.slow
def test_a_run(tmp_path):
    for seed, person in enumerate("abcdefgh"):
        (tmp_path / person).mkdir()
        for number in (1, 2):
            (tmp_path / person / f"{person}_{number:04d}.png").write_bytes(encode(picture(112, 112, seed)))
    (tmp_path / "peopleDevTrain.txt").write_text("4\n" + "".join(f"{person}\t2\n" for person in "abcd"))
    (tmp_path / "pairsDevTest.txt").write_text("2\ne\t1\t2\nf\t1\t2\ne\t1\tg\t1\nf\t2\th\t2\n")
    done = subprocess.run(
        [sys.executable, "benchmarks/lfw_views.py", tmp_path, tmp_path, "--seeds", "1", "--max_nrof_epochs", "1",
         "--batch_size", "4", "--model_options=", "--image_size", "64x64", "--embedding_size", "8"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True, check=True)
    assert re.match(r"View 1, seed 1: accuracy [01]\.\d{4} ± .*\nView 1, mean of 1: ", done.stdout), done.stdout
