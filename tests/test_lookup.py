import pytest

from tf_facenet.lookup import lookup


def test_lookup():
    table = {"b": 2, "a": 1}
    assert lookup(table, "a", "letter") == 1
    with pytest.raises(ValueError, match=r"Unknown letter 'c'. Choose one of: a, b\."):
        lookup(table, "c", "letter")
