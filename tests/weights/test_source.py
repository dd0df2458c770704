"""What a file is follows from its first bytes."""

import numpy as np
import pytest

from tests.torch_files import write_legacy, write_zip
from tf_facenet.weights import source


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_names_lose_what_data_parallel_puts_before_them(tmp_path, write):
    write(tmp_path / "any.name", {"module.conv.weight": np.ones(2, "f4"), "bn.bias": np.ones(3, "f4")})
    assert list(source.read(tmp_path / "any.name")) == ["conv.weight", "bn.bias"]


@pytest.mark.parametrize("content", ["epoch: rate\n0: 0.1\n", "", "PK", "<html>"])
def test_other_files(tmp_path, content):
    (tmp_path / "weights.pth").write_text(content)
    with pytest.raises(ValueError, match=r"weights.pth' begins with b'.*', so it is no file of .*; expected a PyTorch"):
        source.read(tmp_path / "weights.pth")


def test_a_folder(tmp_path):
    with pytest.raises(ValueError, match="is a folder; expected one checkpoint .* found none"):
        source.read(tmp_path)
    (tmp_path / "b.index").write_bytes(b"")
    assert source.kind(tmp_path) is None  # a checkpoint
    (tmp_path / "a.pb").write_bytes(b"")
    with pytest.raises(ValueError, match=r"found a.pb, b.index. Name the one you mean"):
        source.read(tmp_path)
