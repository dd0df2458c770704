import keras
import numpy as np
import pytest

from tf_facenet import heads


def test_softmax_is_a_linear_layer():
    head = heads.create("softmax", num_classes=4, embedding_size=3)
    kernel, bias = np.arange(12.0).reshape(3, 4), np.arange(4.0)
    head.set_weights([kernel, bias])
    features, labels = np.array([[1.0, 0, 2], [0, 1, 0]], "float32"), np.array([3, 0])
    logits, targets = head(features, labels)
    np.testing.assert_allclose(logits, features @ kernel + bias)
    np.testing.assert_array_equal(targets, labels)


@pytest.mark.parametrize("name", sorted(heads.HEADS))
def test_head_contract(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        head = heads.create(name, num_classes=7, embedding_size=5)
        logits, targets = head(np.ones((2, 5), "float16"), np.array([1, 6]))
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits.shape == (2, 7)
    assert targets.shape == (2,)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    copy = type(head).from_config(head.get_config())
    assert copy.get_config() == head.get_config()


def test_unknown_head():
    with pytest.raises(ValueError, match=r"Unknown head 'arcfase'. Choose one of: .*softmax"):
        heads.create("arcfase", num_classes=2, embedding_size=2)
