"""Swin-T: attention inside windows that move by half their side from block to block.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
https://arxiv.org/abs/2103.14030. Original: microsoft/Swin-Transformer models/swin_transformer.py
(MIT licence). 27.5 M parameters up to the pooling, 27.6 M with 128 features.

Layers are named after the original's modules, with _ for dots, so that ``layers.0.blocks.1.attn.qkv``
is the layer ``layers_0_blocks_1_attn_qkv``. Its parameters:

- Dense: ``weight`` [out, in] is the kernel transposed; ``bias``;
- the convolution ``patch_embed.proj``: ``weight`` [out, in, h, w] is the kernel with axes (2, 3, 1, 0);
- layer normalisation: ``weight`` is gamma, ``bias`` is beta;
- ``….attn.relative_position_bias_table`` is the weight of that name of the layer ``…_attn``, as it is.

``relative_position_index`` and ``attn_mask`` are no weights here: they follow from window and shift.

Deliberate differences: the end is facenet's bottleneck; windows and images need not be square; the
window follows from the size of the images; softmax is float32 under any policy.
"""

import keras
from keras import layers

from tf_facenet.backbones import blocks
from tf_facenet.backbones.window_attention import WindowAttention

WIDTH = 96
HEADS = (3, 6, 12, 24)
USUAL_WINDOW = 7
INITIALIZER = keras.initializers.TruncatedNormal(stddev=0.02)


def swin_t(
    image_size, embedding_size, *, patch=4, window=None, depths=(2, 2, 6, 2),
    standardization="fixed", keep_probability=1.0, **options
):
    """Build the network.

    Args:
        image_size: sides that are multiples of 8 · `patch`, such as 160 or 224.
        embedding_size: see `backbones.create`.
        patch: side of the patches that become the first map, in pixels.
        window: side of the windows in places of a map; None takes, for each side of the images, the
            one that tiles all maps and is nearest to 7: 5 for 160 pixels, 7 for 224. A window as
            large as a map is the whole map.
        depths: blocks of each stage; (2, 2, 18, 2) is Swin-S without its larger `drop_path` of 0.3.
        standardization: see `backbones.create`.
        keep_probability: see `backbones.create`.
        **options: those of `blocks.Blocks`; ``activation`` is GELU and ``drop_path`` 0.2 if not given, batch
            normalisation is that of the features alone.

    Raises:
        ValueError: sizes that do not tile; the message says what would.
    """
    _check(patch, depths)
    parts = blocks.Blocks.create("swin_t", options, sum(depths), ["patch", "window", "depths"],
                                 activation="gelu", drop_path=0.2)
    images, x = blocks.pixels(image_size, standardization, 8 * patch)
    windows = [_window(side, patch, window) for side in images.shape[1:3]]
    x = layers.Conv2D(WIDTH, patch, patch, name="patch_embed_proj")(x)
    x = _norm(x, "patch_embed_norm")
    for stage, (depth, heads) in enumerate(zip(depths, HEADS, strict=True)):
        if stage:
            x = _merge(x, f"layers_{stage - 1}_downsample")
        for index in range(depth):
            x = _block(parts, x, f"layers_{stage}_blocks_{index}", heads, windows, index % 2)
    x = layers.GlobalAveragePooling2D(name="avgpool")(_norm(x, "norm"))
    features = parts.bottleneck(x, embedding_size, keep_probability)
    return keras.Model(images, features, name="swin_t")


def _check(patch, depths):
    if not isinstance(patch, int) or patch < 1:
        raise ValueError(f"patch is {patch!r}; expected a side in pixels, such as 4.")
    counts = depths if isinstance(depths, (list, tuple)) else ()
    if len(counts) != len(HEADS) or not all(isinstance(n, int) and n > 0 for n in counts):
        raise ValueError(f"depths is {depths!r}; expected the blocks of {len(HEADS)} stages, such "
                         "as (2, 2, 6, 2).")


def _window(side, patch, window):
    """The window along a side of the images, checked or chosen."""
    step = patch * 2 ** (len(HEADS) - 1)
    if side % step:
        patches = [str(p) for p in range(2, side) if side % (8 * p) == 0]
        other = f", or a patch of {' or '.join(patches)}" if patches else ""
        raise ValueError(
            f"image_size is {side} and patch is {patch}; the map of patches is halved three times, so sides must be "
            f"multiples of {step}. Choose {side - side % step} or {side - side % step + step} pixels{other}.")
    maps = [side // patch // 2 ** stage for stage in range(len(HEADS))]
    fitting = [w for w in range(2, maps[0] + 1) if all(m % min(w, m) == 0 for m in maps)]
    if window is None:
        return min(fitting, key=lambda w: abs(w - USUAL_WINDOW))
    if window not in fitting:
        raise ValueError(f"window is {window}; it does not tile the maps of {maps} places that images of {side} "
                         f"pixels give. Choose one of {', '.join(map(str, fitting))}.")
    return window


def _block(parts, x, name, heads, windows, shifted):
    """Attention and a two-layer network at each place, both added to what comes in: [B, H, W, C]."""
    width, rate = x.shape[-1], next(parts.rates)
    y = _dense(_norm(x, f"{name}_norm1"), 3 * width, f"{name}_attn_qkv")
    window = [min(pair) for pair in zip(windows, x.shape[1:3], strict=True)]
    shift = [w // 2 if shifted and w < side else 0 for w, side in zip(window, x.shape[1:3], strict=True)]
    y = WindowAttention(heads, window, shift, name=f"{name}_attn")(y)
    x = blocks.residual(x, _dense(y, width, f"{name}_attn_proj"), f"{name}_attn", rate)
    y = parts.activate(_dense(_norm(x, f"{name}_norm2"), 4 * width, f"{name}_mlp_fc1"), f"{name}_mlp_act")
    return blocks.residual(x, _dense(y, width, f"{name}_mlp_fc2"), f"{name}_mlp", rate)


def _merge(x, name):
    """Four neighbours become one place of twice the width: [B, H, W, C] → [B, H/2, W/2, 2C]."""
    _, height, width, channels = x.shape
    x = layers.Reshape((height // 2, 2, width // 2, 2, channels), name=f"{name}_split")(x)
    x = layers.Permute((1, 3, 4, 2, 5), name=f"{name}_permute")(x)  # down before across
    x = layers.Reshape((height // 2, width // 2, 4 * channels), name=f"{name}_join")(x)
    return _dense(_norm(x, f"{name}_norm"), 2 * channels, f"{name}_reduction", use_bias=False)


def _norm(x, name):
    return layers.LayerNormalization(epsilon=1e-5, name=name)(x)


def _dense(x, units, name, **kwargs):
    return layers.Dense(units, kernel_initializer=INITIALIZER, name=name, **kwargs)(x)
