from types import SimpleNamespace

import numpy as np
import pytest

from tests import tiny
from tf_facenet.finite import NonFiniteError
from tf_facenet.training.callbacks import Hooks


def test_a_model_that_is_not_finite_is_not_written(tmp_path):
    """The loss of a step is that of the weights before it: it may be finite when they are not any more."""
    backbone = tiny.create(8, 2)
    backbone.get_layer("conv1").set_weights([np.full((3, 3, 3, 8), np.nan)])
    hooks = Hooks.__new__(Hooks)
    hooks.options, hooks.metadata = SimpleNamespace(log_histograms=False), {}
    hooks.loop = SimpleNamespace(average=None, trainer=SimpleNamespace(backbone=backbone))
    hooks.run = SimpleNamespace(folder=tmp_path, model=tmp_path / "model.keras")
    with pytest.raises(NonFiniteError, match="conv1/kernel holds values that are not finite"):
        hooks._end_of_epoch(1)
    assert not list(tmp_path.iterdir())
