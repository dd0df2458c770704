import numpy as np
import pytest
import tensorflow as tf

from tf_facenet.training import history


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
