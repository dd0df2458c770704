import sys
import types

import keras
import pytest

from tests import tiny
from tf_facenet import backbones
from tf_facenet.backbones import own


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


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Function that writes modules into a folder that Python does not look into; they are forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
        return tmp_path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_own_file_and_its_neighbour(files):
    folder = files(own_net_a="from own_net_b import create", own_net_b="from tests.tiny import create")
    name = f"{folder}/own_net_a.py:create"
    assert backbones.create(name, 16, 5).output_shape == (None, 5)
    assert backbones.is_own(name)
    assert not backbones.is_own("keras:MobileNet")


@pytest.mark.parametrize(("name", "message"), [
    ("own_net_c.py:create", "NameError: name 'nothing' is not defined. Expected package.module:function"),
    ("json.py:create", "another module is called 'json'; give the file another name"),
    ("no_such.py:create", "there is no such file"), ("own_net_d.py:create", "has no attribute 'create'")])
def test_own_file_that_cannot_be_imported(files, name, message):
    folder = files(own_net_c="nothing", json="", own_net_d="")
    with pytest.raises(ValueError, match=f"Cannot import the backbone '.*{name}': .*{message}"):
        backbones.create(f"{folder}/{name}", 16, 5)


@pytest.mark.parametrize(("code", "message"), [
    ("tiny.create(24, width)", r"'.*:create' takes \(None, 24, 24, 3\); expected \(None, 16, 16, 3\), of the image"),
    ("tiny.create(size, 7)", r"'.*:create' gives \(None, 7\); expected \(None, 5\), of the image size and the emb"),
    ("keras.Sequential([keras.layers.Dense(5)])", "'.*:create' gives a model without inputs; expected a functional")])
def test_own_network_of_another_form(files, code, message):
    folder = files(own_net_e=f"import keras\nfrom tests import tiny\ndef create(size, width, **_):\n    return {code}")
    with pytest.raises(ValueError, match=message):
        backbones.create(f"{folder}/own_net_e.py:create", 16, 5)


def test_objects_are_the_classes_that_a_module_has(files):
    folder = files(own_net_f="""
import keras
from keras.layers import Dense
from own_net_g import Other
class Pool(keras.layers.Layer): pass
def function(): pass
number = 3""", own_net_g="import keras\nclass Other(keras.layers.Layer): pass")
    registered = keras.saving.get_custom_objects()
    assert set(own.objects(f"{folder}/own_net_f.py")) - set(registered) == {"Pool", "Other"}
    both = own.objects([f"{folder}/own_net_g.py"], f"{folder}/own_net_f.py:create")
    assert set(both) - set(registered) == {"Pool", "Other"}
    assert own.objects("", "models.small") == own.objects("") == registered
    with pytest.raises(ValueError, match=r"Cannot import 'no_such': No module named 'no_such'\. Expected a module on"):
        own.objects("no_such")


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
