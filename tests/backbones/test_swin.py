"""Against Microsoft's network with weights drawn by rule, and window by window in NumPy."""

import json

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tests import torch_weights
from tf_facenet import backbones
from tf_facenet.backbones.window_attention import WindowAttention


@pytest.fixture(scope="module")
def swin():
    """Up to the last normalisation [B, 5, 5, 768], and the names and shapes of its weights in PyTorch."""
    model = backbones.create("swin_t", 160, 128, standardization="none")
    assert model.count_params() == 27_507_210 + 768 * 128 + 3 * 128
    assert model.get_layer("layers_0_blocks_1_attn").window == (5, 5)
    features = keras.Model(model.input, model.get_layer("norm").output)
    return features, torch_weights.fill(features)


def test_numbers_of_the_reference(swin):
    """Recorded here after the whole output had been equal to the reference's."""
    images = np.random.default_rng(5).uniform(-1, 1, (1, 160, 160, 3)).astype("float32")
    map_ = swin[0].predict(images, verbose=0)
    np.testing.assert_allclose(map_[0, 0, 0, :4], [-.6281419, 1.0085649, 1.7369778, -.5704774], atol=1e-4)
    np.testing.assert_allclose(map_[0, 4, 3, -4:], [-.1271453, -.2772598, -.1951663, 1.4255564], atol=1e-4)


def test_every_feature_is_that_of_the_reference(swin, shared):
    features, entries = swin
    recorded = np.load(shared / "reference/backbones.npz")
    map_ = features.predict(recorded["swin_t_features/images"], verbose=0)
    expected = recorded["swin_t_features/embeddings"].transpose(0, 2, 1).reshape(map_.shape)
    np.testing.assert_allclose(map_, expected, atol=1e-4 * np.abs(expected).max())
    names = json.loads((shared / "reference/backbones.json").read_text())["swin_t_features"]["parameters"]
    computed = ("relative_position_index", "attn_mask")
    assert entries == {name: tuple(shape) for name, shape in names.items() if not name.endswith(computed)}


def attention(qkv, table, heads, window, shift):
    """One image, place by place: who may see whom, by the coordinates of the unrolled map."""
    height, width, channels = qkv.shape
    depth = channels // 3 // heads
    q, k, v = qkv.reshape(height, width, 3, heads, depth).transpose(2, 0, 1, 3, 4)
    out = np.zeros((height, width, heads, depth))

    def place(at):
        """Window and part (before or behind the seam of the roll) of a place, per axis."""
        rolled = [(at[axis] - shift[axis]) % size for axis, size in enumerate((height, width))]
        return [(r // w, bool(s) and at[axis] < s)
                for axis, (r, w, s) in enumerate(zip(rolled, window, shift, strict=True))]

    for y, x in np.ndindex(height, width):
        seen = [at for at in np.ndindex(height, width) if place(at) == place((y, x))]
        for head in range(heads):
            bias = [table[(y - b + window[0] - 1) * (2 * window[1] - 1) + x - a + window[1] - 1, head] for b, a in seen]
            logits = np.array([q[y, x, head] @ k[b, a, head] for b, a in seen]) / np.sqrt(depth) + bias
            weights = np.exp(logits) / np.exp(logits).sum()
            out[y, x, head] = sum(w * v[b, a, head] for w, (b, a) in zip(weights, seen, strict=True))
    return out.reshape(height, width, -1)


@pytest.mark.parametrize(("size", "window", "shift"), [
    ((4, 6), (2, 3), (0, 0)), ((4, 6), (2, 3), (1, 1)), ((3, 6), (3, 2), (0, 1)), ((8, 4), (4, 4), (2, 0))])
def test_attention_place_by_place(size, window, shift):
    random = np.random.default_rng(0)
    qkv = random.standard_normal((2, *size, 12)).astype("float32")
    layer = WindowAttention(2, window, shift)
    layer.build(qkv.shape)
    table = random.standard_normal(layer.relative_position_bias_table.shape)
    layer.relative_position_bias_table.assign(table)
    out = numpy(layer(qkv))
    for image, values in zip(qkv, out, strict=True):
        np.testing.assert_allclose(values, attention(image, table, 2, window, shift), atol=1e-5)


@pytest.mark.parametrize(("size", "options", "expected"), [
    (224, {}, (7, 7)), ((64, 96), {}, (8, 6)), (112, {"patch": 2}, (7, 7)), (160, {"window": 10}, (10, 10))])
def test_windows_follow_from_the_size(size, options, expected):
    model = backbones.create("swin_t", size, 8, depths=(1, 2, 1, 1), **options)
    first, second = (model.get_layer(f"layers_1_blocks_{index}_attn") for index in (0, 1))
    assert (first.window, first.shift) == (second.window, (0, 0)) == (expected, (0, 0))
    grid = second.output.shape[1:3]
    assert second.shift == tuple(w // 2 if w < side else 0 for w, side in zip(expected, grid, strict=True))
    last = model.get_layer("layers_3_blocks_0_attn")
    assert last.window == tuple(np.minimum(expected, last.output.shape[1:3]))


def test_drop_path_skips_blocks_for_some_images_in_training(swin):
    model = backbones.create("swin_t", 64, 8, depths=(1, 1, 1, 1), drop_path=0.6)
    drops = [x for x in model.layers if x.name.endswith("drop_path")]
    np.testing.assert_allclose([x.rate for x in drops], np.repeat([.2, .4, .6], 2))
    assert swin[0].get_layer("layers_3_blocks_1_mlp_drop_path").rate == 0.2
    kept = numpy(drops[-1](np.ones((200, 2, 2, 3), "float32"), training=True))
    assert {tuple(np.unique(image).round(4)) for image in kept} == {(0.0,), (2.5,)}


@pytest.mark.parametrize(("size", "options", "message"), [
    (112, {}, "image_size is 112 and patch is 4; .*of 32. Choose 96 or 128 pixels, or a patch of 2 or 7 or 14"),
    ((160, 100), {}, "image_size is 100 and patch is 4; .*multiples of 32. Choose 96 or 128 pixels"),
    (160, {"window": 7}, r"window is 7; it does not tile the maps of \[40, 20, 10, 5\].*Choose one of 5, 10, 20, 40"),
    (160, {"window": "5x5"}, "window is 5x5; it does not tile"),
    (160, {"patch": 0}, "patch is 0; expected a side in pixels, such as 4"),
    (160, {"depths": (2, 2, 2)}, r"depths is \(2, 2, 2\); expected the blocks of 4 stages, such as \(2, 2, 6, 2\)"),
    (160, {"drop_path": 1.0}, "drop_path is 1.0; expected at least 0, less than 1"),
    (160, {"heads": 3}, "Backbone 'swin_t' takes no 'heads'; it takes activation, depths, drop_path, epsilon, mo"),
    (24, {}, "image_size is 24; this backbone needs at least 32 pixels a side"),
])
def test_what_does_not_tile_is_said(size, options, message):
    with pytest.raises(ValueError, match=message):
        backbones.create("swin_t", size, 8, **options)
