import sys
import types

import pytest

from tests import tiny
from tf_facenet import backbones


def test_unknown_name():
    with pytest.raises(ValueError, match="Unknown backbone 'resnet'. Choose one of: inception"):
        backbones.create("resnet", 160, 8)


def test_own_function(monkeypatch):
    module = types.ModuleType("own_networks")
    module.small, module.pair = tiny.create, lambda *args, **kwargs: ("prelogits", "endpoints")
    monkeypatch.setitem(sys.modules, "own_networks", module)
    model = backbones.create("own_networks:small", (16, 24), 5, "fixed", 0.5, batch_norm=False)
    assert model.output_shape == (None, 5)
    assert model.input_shape == (None, 16, 24, 3)
    assert model.get_layer("dropout").rate == 0.5
    with pytest.raises(ValueError, match="'own_networks:pair' gives tuple; expected a keras.Model"):
        backbones.create("own_networks:pair", 16, 5)


@pytest.mark.parametrize("name", ["no_such_package:f", "tf_facenet:no_such_function", ":f", "re:"])
def test_own_function_that_cannot_be_imported(name):
    with pytest.raises(ValueError, match=f"Cannot import the backbone '{name}': .*package.module:"):
        backbones.create(name, 160, 8)


@pytest.mark.parametrize(("arguments", "message"), [
    (((32, 32, 3), 8), r"image_size is \(32, 32, 3\); expected an int or \(height, width\)"),
    (((32, "32"), 8), r"image_size is \(32, '32'\); expected an int or \(height, width\)"),
    ((32, 0), "embedding_size is 0; expected at least 1"),
    ((32, 8, "fixed", 0.0), "keep_probability is 0.0; expected more than 0, at most 1"),
    ((32, 8, "fixed", 1.5), "keep_probability is 1.5; expected more than 0, at most 1"),
    ((32, 8, "whiten"), "Unknown standardization 'whiten'. Choose one of: fixed, none, per_image"),
])
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        backbones.create("mobilenet_v1", *arguments)


def test_width_of_mobilenets():
    full, half = (backbones.create("mobilenet_v1", 32, 8, alpha=a).count_params() for a in (1, .5))
    assert half < 0.3 * full
