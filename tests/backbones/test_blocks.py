"""The options that families have in common: activation, momentum, epsilon, drop_path."""

import keras
import numpy as np
import pytest

from tf_facenet import backbones

FAMILIES = {  # the smallest of each: side, options, how many sums
    "inception_resnet_v1": (75, {}, 21),
    "inception_resnet_v2": (75, {"repeats": (1, 2, 1)}, 5),
    "iresnet18": (16, {}, 8),
    "mbf": (16, {}, 12),
    "mobilefacenet": (16, {}, 12),
    "small": (32, {}, 0),
    "swin_t": (64, {"depths": (1, 2, 1, 1)}, 10),
}


def layers(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("name", FAMILIES)
def test_activation_and_batch_normalisation(name):
    side, own, _ = FAMILIES[name]
    usual = backbones.create(name, side, 8, **own)
    model = backbones.create(name, side, 8, activation="swish", momentum=0.8, epsilon=0.01, **own)
    norms = layers(model, keras.layers.BatchNormalization)
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.8, 0.01)}
    activations = (keras.layers.ReLU, keras.layers.PReLU, keras.layers.Activation)
    assert {layer.activation for layer in layers(model, activations)} == {keras.activations.silu}
    assert len(layers(model, activations)) == len(layers(usual, activations)) > 1
    assert model.output_shape == (None, 8)


@pytest.mark.parametrize(("name", "own", "sums"), [
    *((name, own, sums) for name, (_, own, sums) in FAMILIES.items() if sums), ("mbf", {"large": True}, 26),
    ("small", {"residuals": 2}, 6)])
def test_drop_path_rises_from_the_first_sum_to_the_last(name, own, sums):
    model = backbones.create(name, FAMILIES[name][0], 8, drop_path=0.3, **own)
    expected = np.linspace(0, 0.3, sums)
    if name == "swin_t":  # attention and the network behind it share a rate
        expected = np.repeat(np.linspace(0, 0.3, sums // 2), 2)
    found = [layer.rate for layer in model.layers if layer.name.endswith("_drop_path")]
    np.testing.assert_allclose(found, expected[expected > 0])
    assert len(layers(model, keras.layers.Add)) == sums


def test_usual_drop_path():
    """None, but a fifth for Swin, as in its paper."""
    for name, (side, own, _) in FAMILIES.items():
        rates = [x.rate for x in backbones.create(name, side, 8, **own).layers if x.name.endswith("_drop_path")]
        assert max(rates, default=0) == (0.2 if name == "swin_t" else 0)


@pytest.mark.parametrize(("name", "epsilons"), [("mobilenet_v1", {1e-3}), ("keras:EfficientNetV2B0", {1e-3})])
def test_batch_normalisation_of_keras_applications(name, epsilons):
    for options, momentum, expected in (({}, 0.995, epsilons), ({"momentum": 0.9, "epsilon": 1e-5}, 0.9, {1e-5})):
        norms = layers(backbones.create(name, 32, 8, **options), keras.layers.BatchNormalization)
        assert {layer.momentum for layer in norms} == {momentum}
        assert {layer.epsilon for layer in norms} == expected


@pytest.mark.parametrize(("name", "options", "message"), [
    ("iresnet34", {"activation": "tanh"}, "Unknown activation 'tanh'. Choose one of: gelu, prelu, relu, swish"),
    ("small", {"momentum": 1.0}, "momentum is 1.0; expected at least 0, less than 1"),
    ("keras:MobileNet", {"momentum": -1}, "momentum is -1; expected at least 0, less than 1"),
    ("mbf", {"epsilon": 0.0}, "epsilon is 0.0; expected more than 0"),
    ("inception_resnet_v1", {"drop_path": 1}, "drop_path is 1; expected at least 0, less than 1"),
    ("iresnet34", {"alpha": 2}, "Backbone 'iresnet34' takes no 'alpha'; it takes activation, drop_path, epsilon, mom"),
    ("small", {"residuals": -1}, "residuals is -1; expected a number of blocks, such as 1, or 0 for none"),
    ("small", {"residuals": "one"}, "residuals is 'one'; expected a number of blocks"),
    ("small", {"scales": 4}, "scales is 4; expected a number of stages from 1 to 3"),
    ("small", {"scales": "all"}, "scales is 'all'; expected a number of stages"),
    ("small", {"drop_path": 0.1}, "Backbone 'small' takes no 'drop_path'; it takes activation, epsilon, grad"),
])
def test_wrong_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        backbones.create(name, 112, 8, **options)
