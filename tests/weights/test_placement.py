"""Arrays into layers: against loops over PyTorch's layouts."""

import types

import keras
import numpy as np
import pytest
from keras import layers

from tf_facenet.backbones.torch_blocks import PairConvolution
from tf_facenet.weights.families import Family
from tf_facenet.weights.layouts import TORCH
from tf_facenet.weights.placement import place

RNG = np.random.default_rng(3)
FAMILY = Family((), None, TORCH, None, "none", "", "")


def draw(*shape):
    return RNG.standard_normal(shape).astype("f4")


def converted(size, layer, arrays, family=FAMILY):
    """(a model of some layers, what `place` says)."""
    images = keras.Input(size)
    x = images
    for part in layer:
        x = part(x)
    model = keras.Model(images, x)
    return model, place(model, arrays, family)


def convolved(images, weight, groups=1):
    """PyTorch's convolution with a border of zeros, NCHW, one output value after another."""
    outputs, inputs, height, width = weight.shape
    border = [(0, 0), (0, 0), (height // 2,) * 2, (width // 2,) * 2]
    padded, result = np.pad(images, border), np.zeros((len(images), outputs, *images.shape[2:]))
    for o, y, x in np.ndindex(*result.shape[1:]):
        group = o // (outputs // groups)
        window = padded[:, group * inputs:(group + 1) * inputs, y:y + height, x:x + width]
        result[:, o, y, x] = np.sum(window * weight[o], axis=(1, 2, 3))
    return result


@pytest.mark.parametrize(("layer", "shape", "groups"), [
    (lambda: layers.Conv2D(5, (1, 3), padding="same", use_bias=False, name="a_conv"), (5, 4, 1, 3), 1),
    (lambda: layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="a_conv"), (4, 1, 3, 3), 4),
    (lambda: PairConvolution(name="a_conv"), (4, 2, 3, 3), 2)], ids=["full", "depthwise", "pairs"])
def test_convolutions(layer, shape, groups):
    weight, images = draw(*shape), draw(2, 4, 5, 6)
    model, placed = converted((5, 6, 4), [layer()], {"a.conv.weight": weight, "b.weight": draw(1)})
    assert placed == (["b.weight"], [])
    expected = convolved(images, weight, groups).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(model(images.transpose(0, 2, 3, 1)), expected, atol=1e-5)


@pytest.mark.parametrize("between", [[], [layers.Dropout(0.5)]])
def test_a_linear_layer_behind_a_flattened_map(between):
    weight, bias, images = draw(7, 4 * 5 * 6), draw(7), draw(2, 4, 5, 6)
    model, _ = converted((5, 6, 4), [layers.Flatten(), *between, layers.Dense(7, name="fc")],
                         {"fc.weight": weight, "fc.bias": bias})
    np.testing.assert_allclose(model(images.transpose(0, 2, 3, 1)), images.reshape(2, -1) @ weight.T + bias, atol=1e-4)


def test_a_convolution_of_one_pixel_is_a_linear_layer():
    weight, x = draw(3, 4, 1, 1), draw(2, 4)
    model, _ = converted((4,), [layers.Dense(3, use_bias=False, name="fc")], {"fc.weight": weight})
    np.testing.assert_allclose(model(x), x @ weight[:, :, 0, 0].T, atol=1e-5)


def norm(name, **options):
    return layers.BatchNormalization(epsilon=1e-3, name=name, **options)


def statistics(size):
    return {"bn.bias": draw(size), "bn.running_mean": draw(size), "bn.running_var": np.abs(draw(size)) + 0.1}


def normalised(x, arrays, gamma):
    return gamma * (x - arrays["bn.running_mean"]) / np.sqrt(arrays["bn.running_var"] + 1e-3) + arrays["bn.bias"]


def test_normalisation_and_slopes():
    arrays = {**statistics(4), "bn.weight": draw(4), "act.weight": draw(4), "bn.num_batches_tracked": np.array(1)}
    images = draw(2, 5, 6, 4)
    model, placed = converted((5, 6, 4), [norm("bn"), layers.PReLU(shared_axes=[1, 2], name="act")], arrays)
    expected = normalised(images, arrays, arrays["bn.weight"])
    expected = np.where(expected > 0, expected, expected * arrays["act.weight"])
    np.testing.assert_allclose(model(images), expected, atol=1e-5)
    assert placed == (["bn.num_batches_tracked"], [])


@pytest.mark.parametrize("bias", [True, False])
def test_a_gamma_that_has_no_place_goes_into_the_linear_layer(bias):
    arrays = {"fc.weight": draw(3, 4), **statistics(3), "bn.weight": draw(3)} | ({"fc.bias": draw(3)} if bias else {})
    model, placed = converted((4,), [layers.Dense(3, use_bias=bias, name="fc"), norm("bn", scale=False)], arrays)
    x = draw(5, 4)
    expected = normalised(x @ arrays["fc.weight"].T + arrays.get("fc.bias", 0), arrays, arrays["bn.weight"])
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-4)
    assert placed == ([], [])


def test_nothing_is_set_unless_everything_fits():
    dense = layers.Dense(3, name="fc")
    what = r"^1 missing: fc: bias \[3\]; 1 of another shape: fc.weight \[3, 5\] instead of \[3, 4\]$"
    with pytest.raises(ValueError, match=what):
        converted((4,), [dense], {"fc.weight": draw(3, 5)})
    kernel = dense.kernel.numpy()
    with pytest.raises(ValueError, match="1 missing"):
        place(keras.Model(dense.input, dense.output), {"fc.weight": draw(3, 4)}, FAMILY)
    np.testing.assert_array_equal(dense.kernel, kernel)


def test_long_lists_are_cut():
    parts = [layers.Dense(4, use_bias=False, name=f"fc{i}") for i in range(9)]
    with pytest.raises(ValueError, match="9 missing: fc0: .* and 5 more"):
        converted((4,), parts, {})


def test_layers_that_the_original_does_not_have():
    dense = [layers.Dense(4, use_bias=False, name=name) for name in ("fc", "Bottleneck")]
    family = types.SimpleNamespace(layout=TORCH, new="Bottleneck", place=FAMILY.place)
    model, placed = converted((4,), dense, {"fc.weight": np.eye(4, dtype="f4")}, family)
    assert placed == ([], ["Bottleneck"])
    np.testing.assert_array_equal(model.layers[1].kernel, np.eye(4))
