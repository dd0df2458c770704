"""Whose weights: by names and shapes alone."""

import csv
import json

import pytest

from tf_facenet.weights import facenet_pytorch, families


def iresnet(depths, features=512, places=49):
    names = {"bn2.weight": (512,), "fc.weight": (features, 512 * places), "features.bias": (features,)}
    blocks = (f"layer{stage}.{index}" for stage, depth in enumerate(depths, 1) for index in range(depth))
    return names | {f"{block}.conv1.weight": (64, 64, 3, 3) for block in blocks}


def swin(window, depths=(2, 2, 6, 2)):
    table = {"layers.0.blocks.0.attn.relative_position_bias_table": ((2 * window - 1) ** 2, 3)}
    norms = {f"layers.{stage}.blocks.{i}.norm1.weight": (96,) for stage, n in enumerate(depths) for i in range(n)}
    return {"patch_embed.proj.weight": (96, 3, 4, 4), "norm.weight": (768,), **table, **norms}


def facenet(version, features, root=True):
    name = f"InceptionResnet{version.upper()}/"
    bottleneck = f"{name if root else ''}Bottleneck/weights"
    return {f"{name}Conv2d_1a_3x3/weights": (3, 3, 3, 32), bottleneck: (1792, features)}


MBF = {"layers.0.layers.0.weight": (128, 3, 3, 3), "conv_sep.layers.0.weight": (512, 256, 1, 1),
       "features.layers.0.layers.0.weight": (512, 1, 7, 7), "features.layers.2.weight": (256, 512)}


@pytest.mark.parametrize(("shapes", "seen"), [
    (iresnet((2, 2, 2, 2)), ("iresnet18", (112, 112), 512, {}, "")),
    (iresnet((3, 13, 30, 3), 256, 100), ("iresnet100", (160, 160), 256, {}, "")),
    (MBF, ("mbf", (112, 112), 256, {}, "")),
    ({**MBF, "layers.1.layers.0.layers.0.layers.0.weight": (128, 128, 1, 1)},
     ("mbf", (112, 112), 256, {"large": True}, "")),
    ({"dw_conv1.conv.weight": (64, 1, 3, 3), "linear7.conv.weight": (512, 1, 7, 6),
      "linear1.conv.weight": (128, 512, 1, 1)},
     ("mobilefacenet", (112, 96), 128, {}, "")),
    (swin(7), ("swin_t", (224, 224), None, {"patch": 4, "window": 7, "depths": (2, 2, 6, 2)}, "")),
    (swin(5, (2, 2, 18, 2)), ("swin_t", (160, 160), None, {"patch": 4, "window": 5, "depths": (2, 2, 18, 2)}, "")),
    ({"conv2d_1a.conv.weight": (32, 3, 3, 3), "last_linear.weight": (512, 1792)},
     ("inception_resnet_v1", None, 512, {}, "")),
    (facenet("v1", 512), ("inception_resnet_v1", None, 512, {}, "fixed")),
    (facenet("v1", 128, root=False), ("inception_resnet_v1", None, 128, {}, "per_image")),
    (facenet("v2", 512), ("inception_resnet_v2", None, 512, {}, "fixed"))])
def test_networks(shapes, seen):
    assert families.recognise(shapes)[1] == families.Seen(*seen)


@pytest.mark.parametrize(("shapes", "what"), [
    ({"features.0.weight": (64, 3, 3, 3)},
     r"1 arrays, such as features.0.weight \[64, 3, 3, 3\], are of no network that is .*facenet-pytorch, insight"),
    (iresnet((3, 128, 896, 3)), r"is an IResNet of \(3, 128, 896, 3\) blocks; this package has iresnet18, iresnet34"),
    ({"dw_conv1.conv.weight": (64, 1, 3, 3), "linear7.conv.weight": (512, 1, 7, 6)},
     "has no linear1.conv.weight, which says how large the network is"),
    ({**iresnet((2, 2, 2, 2)), "fc.weight": (512,)}, r"has fc.weight of shape \[512\]; expected 2 sides"),
    ({"InceptionResnetV1/Conv2d_1a_3x3/weights": (3, 3, 3, 32)}, "has no Bottleneck: it is a model of before"),
    ({}, "0 arrays")])
def test_others(shapes, what):
    with pytest.raises(ValueError, match=what):
        families.recognise(shapes)


def test_facenet_and_facenet_pytorch_call_the_same_layers(shared):
    """All 602 rows of the map that was verified with the originals."""
    torch, tf1 = families.FAMILIES["facenet-pytorch"], families.FAMILIES["facenet (v1)"]
    leaves = {"weights": "weight", "biases": "bias", "beta": "bias", "moving_mean": "running_mean",
              "moving_variance": "running_var"}
    with open(shared / "reference/facenet_weight_map.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["tf_variable"].startswith("InceptionResnetV1/")]
    assert len(rows) == 490
    for row in rows:
        layer, leaf = tf1.place(row["tf_variable"])
        assert torch.place(row["facenet_pytorch_key"]) == (layer, leaves[leaf])


def test_every_module_of_facenet_pytorch(shared):
    recorded = json.loads((shared / "reference/backbones.json").read_text())
    names = recorded["inception_resnet_v1_l2normalised"]["parameters"]
    assert {name.rpartition(".")[0] for name in names} == set(facenet_pytorch.layers())
    assert len(set(facenet_pytorch.layers().values())) == len(facenet_pytorch.layers())
