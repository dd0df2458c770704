"""A data set as lines, JSON and a page."""

import json
import re

import numpy as np
import pytest

from tests.pictures import encode, picture, write
from tf_facenet.align.crop import TEMPLATES
from tf_facenet.align.placement import Placement
from tf_facenet.data import load
from tf_facenet.data.survey import survey
from tf_facenet.evaluation import data_report

PLACED = Placement(60, 58, TEMPLATES["112x96"], np.full((5, 2), 1.5))
NOWHERE = Placement(60, 0, np.full((5, 2), np.nan), np.full((5, 2), np.nan))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    big, small, other = encode(picture(250, 200)), encode(picture(20, 10)), encode(picture(seed=1))
    files = {"a/1.png": big, "a/2.png": big, "a/3.jpg": b"", "b/1.png": small, "b/2.png": other, "<i>/x.png": other}
    return survey(load(write(tmp_path_factory.mktemp("faces"), files)))


def test_lines_are_aligned_and_marked(found):
    lines = data_report.lines(data_report.facts(found, PLACED))
    assert lines[0] == "  people         3"
    assert {line[17] for line in lines} & {" "} == set()
    assert [line[2:15].strip() for line in lines if line[0] == "!"] == [
        "few images", "unreadable", "duplicates", "wrong labels?"]
    assert lines[-2] == "  alignment      112x96 template, 8 px left of 112x112's (on average 0.0 px off)"
    assert lines[-1].startswith("  landmarks      of 58 faces: left eye 30,52, right eye 66,52,")
    assert lines[-1].endswith("; scatter 1.5 to 1.5 px")


@pytest.mark.parametrize(("placement", "last"), [
    (NOWHERE, "! alignment      no face found in 60 of 60 images"), ("no package", "  alignment      no package")])
def test_without_faces(found, placement, last):
    assert data_report.lines(data_report.facts(found, placement))[-1] == last
    assert json.loads(json.dumps(data_report.to_json(found, placement), allow_nan=False))["alignment"] in (
        {"skipped": "no package"},
        {"looked_at": 60, "found": 0, "template": None, "verdict": "no face found in 60 of 60 images"})


def test_json(found):
    result = json.loads(json.dumps(data_report.to_json(found, PLACED), allow_nan=False))
    assert (result["people"], result["images"], result["readable"]) == (3, 6, 5)
    assert result["images_per_person"] == {"min": 1, "median": 2, "max": 3}
    assert result["sizes"] == [[20, 10, 1], [30, 40, 2], [250, 200, 2]]
    assert [name.rpartition("/")[2] for name in result["duplicates"][0]] == ["1.png", "2.png"]
    assert len(result["duplicates_across_people"]) == 1
    assert result["unreadable"][0][1] == "empty file"
    assert result["alignment"]["template"] == "112x96"
    assert len(result["alignment"]["mean"]) == 5


def test_page(found, tmp_path):
    data_report.write_report(tmp_path / "page.html", "faces", found, data_report.facts(found, PLACED))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", text) == [
        "Some of the people", "Copies under different people: some are labelled wrongly", "Copies under one person",
        "Smallest images", "Unreadable"]
    assert sorted(re.findall("<h3>(.*?)</h3>", text)) == ["&lt;i&gt; (1)", "a (2)", "b (2)"]
    assert text.count("<img") == 5 + 2 + 2 + 5
    smallest = text.partition("Smallest images")[2]
    assert re.findall("<figcaption>(.*?)</figcaption>", smallest)[0] == "b: 1.png, 10x20"
