import numpy as np
import pytest
import tensorflow as tf

from tf_facenet.training import history

HEADER = "step,loss,lfw_accuracy\n"


@pytest.mark.parametrize("damaged", ["3,0.4", "3,0.4,x\n", "x,0.4,\n", "3,\0\0\0,\n", "3,0.4,,\n", "\n", "-3,0.4,\n"])
def test_damaged_lines_are_left_out(damaged, tmp_path):
    (tmp_path / "history.csv").write_text(f"{HEADER}1,0.5,\n{damaged}")
    assert history.read(tmp_path / "history.csv") == [{"step": "1", "loss": "0.5", "lfw_accuracy": ""}]


@pytest.mark.parametrize("content", [b"", b"hello\n1\n", b"\xff\xfe\n"])
def test_what_is_no_history(content, tmp_path):
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"history.csv' is no history of a run.*Remove it"):
        history.read(tmp_path / "history.csv")


def test_no_number_of_python_is_given_to_tensorflow(tmp_path, monkeypatch):
    """It would keep each of them for ever: a run grew by 0.8 kB with every value that it logged."""
    given = []
    monkeypatch.setattr(tf.summary, "scalar",
                        lambda _, value: given.extend([value, tf.summary.experimental.get_step()]))
    made = history.History(tmp_path, 0)
    made.add(7, loss=0.5, xent=0.25)
    made.close()
    assert given == [0.5, 7, 0.25, 7]
    assert all(isinstance(number, np.generic) for number in given)


def test_events_on_a_full_disk(tmp_path, monkeypatch):
    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "{{node}} /x/events; No space left on device\n\tFailed")

    made = history.History(tmp_path, 0)
    monkeypatch.setattr(tf.summary, "scalar", full)
    with pytest.raises(OSError, match="TensorBoard's events, No space left on device$"):
        made.add(1, loss=0.5)
    made.close()
