import json

import cv2
import numpy as np
import pytest

from tf_facenet.evaluation.report import write_report
from tf_facenet.evaluation.verification import evaluate


def test_numbers_and_pictures_in_one_file(tmp_path):
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(40, 4))
    embeddings[1:20:2] = embeddings[0:20:2]
    result = evaluate(embeddings, np.arange(20) < 10, folds=np.arange(20) % 2).to_json()
    (tmp_path / "unseen.json").write_text(json.dumps({"lfw_dir": "<people>", **result}))
    (tmp_path / "options.json").write_text("{}")
    cv2.imwrite(str(tmp_path / "curves.png"), np.zeros((9, 9, 3), "uint8"))
    page = write_report(tmp_path).read_text()
    assert "Verification on &lt;people&gt;" in page
    assert f"<td>Accuracy<td>{result['accuracy']:.4f}" in page
    assert page.count('src="data:image/png;base64,iVBOR') == 1


def test_nothing_to_report(tmp_path):
    with pytest.raises(OSError, match="holds no picture to report; name a run folder"):
        write_report(tmp_path)
