"""A backbone of one's own is tried before it is trained: could the model be loaded in another process?"""

import keras
import pytest

from tests import tiny
from tf_facenet import backbones
from tf_facenet.training import trial


class Own(keras.layers.Layer):
    """What layers of one's own have in common here."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor


class Whole(Own):
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class Forgetful(Own):
    def get_config(self):
        return {name: value for name, value in super().get_config().items() if name != "factor"}


class Demanding(Own):
    def __init__(self, factor, **kwargs):
        super().__init__(factor, **kwargs)

    def get_config(self):
        return {"name": self.name}


class Odd(Own):
    def __init__(self, table, **kwargs):
        super().__init__(**kwargs)


def twice(x):
    return 2 * x


def network(layer):
    images = keras.Input((16, 16, 3))
    return keras.Model(images, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(layer(images))))


def check(layer, *classes):
    registry = dict(keras.saving.get_custom_objects())
    try:
        trial.check(network(layer), "mynet:create", {cls.__name__: cls for cls in classes})
    finally:
        assert keras.saving.get_custom_objects() == registry


def test_a_network_that_can_be_loaded():
    check(Whole(3.0), Whole)
    check(Own(3.0), Own)  # Keras notes plain arguments itself
    check(backbones.blocks.Standardize())  # of this package


@pytest.mark.parametrize(("layer", "classes", "message"), [
    (lambda: Whole(3.0), [], r"Could not locate class 'Whole' of 'test.*test_trial'\. Define its layers, .* at the"),
    (lambda: keras.layers.Activation(twice), [], "Could not locate function 'twice'.*register its functions with @ker"),
    (lambda: keras.layers.Lambda(twice), [], "Could not locate function 'twice'"),
    (lambda: Demanding(3.0), [Demanding], r"Demanding.__init__\(\) missing 1 required positional argument: 'factor'\."),
    (lambda: Odd(object()), [Odd], r"must override `get_config\(\)`.*get_config must return what __init__ takes"),
    (lambda: Forgetful(3.0), [Forgetful], "gives other features once it has been saved and loaded. Look whether get_"),
])
def test_what_is_missing_is_said_in_one_line(layer, classes, message):
    with pytest.raises(ValueError, match=f"The backbone 'mynet:create' .*{message}") as refusal:
        check(layer(), *classes)
    assert "\n" not in str(refusal.value)


def test_a_class_that_is_registered_only_when_the_network_is_built():
    """In a new process, importing the module is not building the network."""
    known = backbones.own.objects("")

    @keras.saving.register_keras_serializable()
    class Late(Own):
        pass

    try:
        with pytest.raises(ValueError, match="Could not locate class 'Late'"):
            trial.check(network(Late()), "mynet:create", known)
    finally:
        del keras.saving.get_custom_objects()["Custom>Late"]


def test_networks_of_the_package_are_not_tried(monkeypatch):
    monkeypatch.delattr(keras.Model, "save")
    for name in ("models.small", "mobilefacenet", "keras:MobileNet"):
        trial.check(tiny.create(16, 4), name, {})
