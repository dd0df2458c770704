import numpy as np
import pytest

from tf_facenet.evaluation import history

HEADER = "step,loss,lfw_accuracy\n"


@pytest.mark.parametrize("damaged", ["3,0.4", "3,0.4,x\n", "x,0.4,\n", "3,\0\0\0,\n", "3,0.4,,\n", "\n", "-3,0.4,\n"])
def test_damaged_lines_are_left_out(damaged, tmp_path):
    (tmp_path / "history.csv").write_text(f"{HEADER}1,-1,\n{damaged}")
    assert history.read(tmp_path / "history.csv") == [{"step": "1", "loss": "-1", "lfw_accuracy": ""}]


@pytest.mark.parametrize("content", [b"", b"hello\n1\n", b"\xff\xfe\n"])
def test_what_is_no_history(content, tmp_path):
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"history.csv' is no history of a run.*Remove it"):
        history.read(tmp_path / "history.csv")


def test_columns_have_a_number_a_row(tmp_path):
    (tmp_path / "history.csv").write_text(f"{HEADER}1,0.5,\n2,,0.9\n3,0.4\0,\n")
    columns = history.columns(tmp_path / "history.csv")
    np.testing.assert_array_equal([columns["step"], columns["loss"]], [[1, 2], [0.5, np.nan]])
    (tmp_path / "history.csv").write_text(HEADER)
    assert history.columns(tmp_path / "history.csv") == {}
