"""The page of a verification: whole, in one file, and readable in a real browser."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from tests.cli import colors
from tf_facenet import cli
from tf_facenet.data.pairs import Pairs
from tf_facenet.evaluation.report import write_report
from tf_facenet.evaluation.verification import verify
from tf_facenet.inference.embedder import Embedder

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def colored_pairs():
    """40 pairs of colours; every fifth is told to be the other kind, so that there are mistakes."""
    names, rng = list(colors.COLORS), np.random.default_rng(0)
    same = np.arange(40) % 2 == 0
    who = [(name, name if alike else rng.choice([other for other in names if other != name]))
           for alike, name in zip(same ^ (np.arange(40) % 5 == 0), np.resize(names, 40), strict=True)]
    images = np.empty(80, object)
    images[:] = [colors.picture(str(name), number) for number, name in enumerate(np.ravel(who))]
    return Pairs(images, same, np.arange(40) // 10, [])


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A run folder with a page in it, the verification that it is of, and the page's text."""
    run = tmp_path_factory.mktemp("run")
    colors.write_model(run / "model.keras", options={"optimizer": "<ADAM>"}, data_licence="none")
    (run / "history.csv").write_text("step,loss,lfw_accuracy\n1,2.5,\n2,1.5,0.9\n3,1,\n4,0.5,0.95\n")
    embedder, pairs = Embedder.load(run), colored_pairs()
    report = verify(embedder, pairs, "sum")
    write_report(run / "report.html", run, embedder.metadata, report, pairs, {"mirrored images": "sum"})
    return run, report, (run / "report.html").read_text(encoding="utf-8")


def test_numbers(result):
    _, report, page = result
    assert f"<td>Accuracy<td>{report.accuracy:.4f}<" in page
    assert f"<td>Equal error rate<td>{report.eer:.4f}<" in page
    assert f"<td>Fold 4<td>{report.fold_accuracies[3]:.4f}" in page
    assert "<td>--optimizer<td>&lt;ADAM&gt;" in page
    assert "<td>mirrored images<td>sum" in page


def test_drawings(result):
    page = result[2]
    for title in ("Face verification", "Detection error trade-off", "Distances of the pairs", "Accuracy by quality",
                  "Loss", "LFW verification"):
        assert re.search(rf"<text[^>]*>{title}", page), title
    assert page.count("<svg") == 5


def test_mistakes_are_shown_worst_first(result):
    _, report, page = result
    accepted = np.sort(report.distances[(report.distances < report.threshold) & ~report.same])
    rejected = np.sort(report.distances[(report.distances >= report.threshold) & report.same])[::-1]
    assert len(accepted)
    assert len(rejected)
    shown = [float(text) for text in re.findall(r"<figcaption>([\d.]+)", page)]
    np.testing.assert_allclose(shown, [*accepted[:20], *rejected[:20]], atol=5e-4)
    assert f"The worst {len(accepted)} of {len(accepted)}" in page


def test_the_page_asks_the_network_for_nothing(result):
    page = re.sub(r"http://www\.w3\.org/[\w/]*|http://purl\.org/[\w/.]*|http://creativecommons\.org/ns#|https://matplotlib"
                  r"\.org/", "", result[2])  # names of the parts of SVG
    assert "http" not in page
    assert "<script" not in page


@pytest.mark.skipif(not BROWSER, reason="no chromium to look at the page with")
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser(result, tmp_path, width, dark):
    """A copy of the page says of itself whether its images load and whether anything is wider than the window."""
    probe = ("<script>addEventListener('load',()=>{document.title=JSON.stringify({width:innerWidth,"
             "wide:document.documentElement.scrollWidth,broken:[...document.images].filter(i=>!i.naturalWidth).length,"
             "labels:getComputedStyle(document.querySelector('svg text')).fill,"
             "ink:getComputedStyle(document.body).color})})</script>")
    style = f"<style>:root{{color-scheme:{'dark' if dark else 'light'}!important}}</style>"
    (tmp_path / "page.html").write_text(result[2] + style + probe, encoding="utf-8")
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         f"--window-size={width},900", "--enable-logging=stderr", "--dump-dom", (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True)
    said = json.loads(re.search(r"<title>(.*?)</title>", done.stdout)[1])
    assert said["broken"] == 0
    assert said["wide"] <= max(said["width"], width)
    bright = sum(map(int, re.findall(r"\d+", said["ink"])[:3])) > 382
    assert bright == dark
    assert said["labels"] == said["ink"]
    assert "CONSOLE" not in done.stderr


def test_command(result, tmp_path, capsys):
    run, _, _ = result
    assert cli.run_command(["report", str(run), "--pairs", "drawn:people=20,images=3,size=32", "-o",
                            str(tmp_path / "r.html"), "--quiet"]) == 0
    said = capsys.readouterr().out.splitlines()
    few = "60 pairs of different people cannot show a false accept rate of 0.001; the smallest that they can is 0.0167"
    assert said[:2] == ["Images: drawn:people=20,images=3,size=32", f"{few}; the faces are drawn"]
    assert said[-1] == f"Report: {tmp_path / 'r.html'}"
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<td>images<td>drawn:people=20" in page
    assert f"<tr class=odd><td>False accepts<td>{few}; the faces are drawn" in page
    assert "<td>Pairs<td>120 pairs of drawn faces" in page
    assert "Distances of the pairs of drawn faces" in page
    assert "FAR 0.001" not in page
    assert "Validation rate" not in page


def test_command_on_the_pairs_of_the_run(tmp_path, capsys):
    colors.write_people(tmp_path / "faces", count=3)
    head, names = "2\t2", list(colors.COLORS)
    lines = [f"{name}\t1\t{2 + i % 2}\n{name}\t1\t{names[i - 1]}\t2" for i, name in enumerate(names)]
    (tmp_path / "own.txt").write_text("\n".join([head, *lines]))
    trained = {"lfw_dir": str(tmp_path / "faces"), "lfw_pairs": "own.txt", "lfw_nrof_folds": 2}
    model = colors.write_model(tmp_path / "model.keras", options=trained)
    command = ["report", model, "-o", str(tmp_path / "r.html"), "--quiet"]
    assert cli.run_command(command) == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<td>Pairs<td>8 pairs<" in page
    assert "<td>Fold 2<" in page
    assert "<td>Fold 3<" not in page
    with pytest.raises(OSError, match="No file 'pairs.txt'"):
        cli.run_command([*command, "--pairs", str(tmp_path / "faces")])
    with pytest.raises(OSError, match="No file 'other.txt'"):
        cli.run_command([*command, "--lfw_pairs", "other.txt"])
