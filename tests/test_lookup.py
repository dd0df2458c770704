import pytest

from tf_facenet.lookup import check_options, lookup


def test_lookup():
    table = {"b": 2, "a": 1}
    assert lookup(table, "a", "letter") == 1
    with pytest.raises(ValueError, match=r"Unknown letter 'c'. Choose one of: a, b\."):
        lookup(table, "c", "letter")


def test_unknown_option():
    check_options({"a": 1}, {"a", "b"}, "Head 'x'")
    with pytest.raises(ValueError, match="Head 'x' takes no 'c'; it takes a, b"):
        check_options({"a": 1, "c": 2}, {"b", "a"}, "Head 'x'")
    with pytest.raises(ValueError, match="takes no 'c'; it takes no options"):
        check_options({"c": 2}, (), "Head 'x'")
