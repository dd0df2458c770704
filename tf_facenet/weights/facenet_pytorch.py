"""facenet-pytorch's names for the parts of Inception-ResNet-v1 (timesler/facenet-pytorch, MIT licence)."""

from tf_facenet.backbones import inception_resnet_v1 as v1

STEM = {f"conv2d_{name}": f"Conv2d_{name}_{kernel}" for name, kernel in (
    ("1a", "3x3"), ("2a", "3x3"), ("2b", "3x3"), ("3b", "1x1"), ("4a", "3x3"), ("4b", "3x3"))}
# Module → scope, table of its branches.
RESIDUAL = {
    **{f"repeat_1.{i}": (f"Repeat_block35_{i + 1}", v1.BLOCK35) for i in range(5)},
    **{f"repeat_2.{i}": (f"Repeat_1_block17_{i + 1}", v1.BLOCK17) for i in range(10)},
    **{f"repeat_3.{i}": (f"Repeat_2_block8_{i + 1}", v1.BLOCK8) for i in range(5)},
    "block8": ("Block8", v1.BLOCK8)}
MIXED = {"mixed_6a": ("Mixed_6a", v1.MIXED_6A), "mixed_7a": ("Mixed_7a", v1.MIXED_7A)}


def layers():
    """dict: module → name of the layer."""
    convolutions = dict(STEM)
    for module, (scope, table) in (RESIDUAL | MIXED).items():
        for branch, steps in enumerate(table):
            for index, (step, filters, _) in enumerate(steps):
                if filters:  # a branch of one step is that step
                    number = f".{index}" if len(steps) > 1 else ""
                    convolutions[f"{module}.branch{branch}{number}"] = f"{scope}_Branch_{branch}_{step}"
    names = {f"{module}.conv": layer for module, layer in convolutions.items()}
    names |= {f"{module}.bn": f"{layer}_BatchNorm" for module, layer in convolutions.items()}
    names |= {f"{module}.conv2d": f"{scope}_Conv2d_1x1" for module, (scope, _) in RESIDUAL.items()}
    return names | {"last_linear": "Bottleneck", "last_bn": "Bottleneck_BatchNorm"}
