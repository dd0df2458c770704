"""One model used from threads, and from processes that were forked or started anew, gives the same rows."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests import galleries, tiny
from tests.conftest import ROOT
from tf_facenet.data import drawn
from tf_facenet.inference.embedder import Embedder
from tf_facenet.inference.model_file import save_model

SET = "drawn:people=8,images=4,size=32"
THREADS = 8


def embed_to(model, output):
    """What a worker does."""
    from tf_facenet import data

    np.save(output, Embedder.load(model, batch_size=7).embed(list(data.load(SET).samples), "concat"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    save_model(tiny.create(24, 8), path, {})
    return path


@pytest.fixture(scope="module")
def alone(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("alone") / "rows.npy"
    embed_to(model, path)
    return np.load(path)


def test_threads(model, alone, effort, ledger):
    samples = list(drawn.draw(people=8, images=4, size=32).samples)
    embedder = Embedder.load(model, batch_size=7)
    orders = [np.random.default_rng(seed).permutation(len(samples)) for seed in range(effort(THREADS, 40 * THREADS))]
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda order: embedder.embed([samples[row] for row in order], "concat"), orders)
        for order, rows in zip(orders, found, strict=True):
            np.testing.assert_allclose(rows, alone[order], atol=1e-6)
    ledger.count("one model, many users", **{"calls from 8 threads": len(orders)})


def test_forked_workers(model, alone, zygote, effort, ledger, tmp_path):
    children = [zygote.start("tests.torture.test_concurrency:embed_to", str(model), str(tmp_path / f"{number}.npy"),
                             output=tmp_path / f"{number}.txt") for number in range(effort(2, 8))]
    for number, child in enumerate(children):
        assert child.wait() == 0, child.text()
        np.testing.assert_allclose(np.load(tmp_path / f"{number}.npy"), alone, atol=1e-6)
    ledger.count("one model, many users", **{"forked workers": len(children)})


@pytest.mark.torture
def test_spawned_workers(model, alone, ledger, tmp_path):
    code = "import sys; from tests.torture.test_concurrency import embed_to; embed_to(*sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    workers = [subprocess.Popen([sys.executable, "-c", code, str(model), str(tmp_path / f"{number}.npy")], cwd=ROOT,
                                env=environment) for number in range(2)]
    for number, worker in enumerate(workers):
        assert worker.wait() == 0
        np.testing.assert_allclose(np.load(tmp_path / f"{number}.npy"), alone, atol=1e-6)
    ledger.count("one model, many users", **{"spawned workers": len(workers)})


@pytest.mark.torture
def test_a_gallery_with_many_writers_and_readers(ledger, tmp_path):
    """About a minute on two cores."""
    loads = galleries.check(tmp_path / "gallery", writers=4, readers=4, count=250)
    ledger.count("galleries", **{"people added by 4 processes at once": 1000, "loads by 4 others meanwhile": loads})
