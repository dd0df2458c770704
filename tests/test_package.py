import pytest

import tf_facenet
from tests import process


def test_the_few_names_a_user_needs():
    assert tf_facenet.Embedder.__module__ == "tf_facenet.inference.embedder"
    assert all(getattr(tf_facenet, name) for name in tf_facenet.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Embeder'"):
        _ = tf_facenet.Embeder


def test_importing_the_package_imports_nothing_heavy():
    done = process.python("-c", "import sys, tf_facenet; print({'numpy', 'keras'} & set(sys.modules))")
    assert done.stdout == "set()\n"
