"""`tf-facenet convert` from a file of weights to a model file, and what it says about other files."""

import json
import zipfile

import numpy as np
import pytest

from tests import torch_weights
from tests.torch_files import write_zip
from tf_facenet import backbones, cli
from tf_facenet.cli.convert import shown
from tf_facenet.inference.model_file import MEMBER, load_model


@pytest.fixture(scope="module")
def state():
    model = backbones.create("mobilefacenet", 32, 8)
    shapes = torch_weights.fill(model)
    shapes["linear1.conv.weight"] += (1, 1)  # in the original a convolution of one pixel
    return {entry: np.full(shape, 0.01, "f4") for entry, shape in shapes.items()}


@pytest.fixture
def weights(state, tmp_path):
    classifier = {"logits.weight": np.zeros((3, 8), "f4"), "conv1.bn.num_batches_tracked": np.array(1)}
    write_zip(tmp_path / "068.ckpt", {"net_state_dict": {**state, **classifier}})
    return str(tmp_path / "068.ckpt")


def failure(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["convert", *map(str, arguments)])
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_convert(weights, tmp_path, capsys):
    out = tmp_path / "out.keras"
    arguments = [weights, "--backbone", "mobilefacenet", str(out), "--data_licence", "mine", "--color_order", "BGR"]
    assert cli.run_command(["convert", *arguments, "--check"]) == 0
    said = capsys.readouterr().out
    assert "mobilefacenet, 32x32 pixels, 8 features, from " in said
    assert "2 unused: logits.weight, conv1.bn.num_batches_tracked\n" in said
    assert "takes: fixed BGR, template 112x96\nLicence of the data: mine\nNot compared: of originals" in said
    model, metadata = load_model(out)
    assert model.output_shape == (None, 8)
    expected = {"image_size": [32, 32], "standardization": "fixed", "color_order": "RGB", "template": "112x96",
                "data_licence": "mine"}
    assert {name: metadata[name] for name in expected} == expected
    assert json.loads(zipfile.ZipFile(out).read(MEMBER))["source"]["color_order"] == "BGR"


def test_mistakes_are_one_line(weights, state, tmp_path, capsys):
    out, other = tmp_path / "out.keras", tmp_path / "notes.txt"
    other.write_text("hello")
    assert "looks like weights of mobilefacenet (MobileFaceNet_Pytorch), not of iresnet50; try --backbone mobile" in (
        failure(capsys, weights, out, "--backbone", "iresnet50"))
    assert "mobilefacenet of 32x32 pixels, 9 features: 5 of another shape: linear1.conv.weight [8, 512" in (
        failure(capsys, weights, out, "--embedding_size", 9))
    assert "begins with b'hello', so it is no file of weights that is known here" in failure(capsys, other, out)
    assert "No weights at" in failure(capsys, tmp_path / "none.pth", out)
    assert "expected a name that ends in .keras" in failure(capsys, weights, tmp_path / "out.h5")
    write_zip(weights, {name: array for name, array in state.items() if not name.startswith("conv2.")})
    assert "6 missing: conv2_conv: weight [512, 128, 1, 1], conv2_bn: weight [512], " in failure(capsys, weights, out)
    assert not out.exists()


def test_names_that_end_alike_are_counted():
    assert shown([]) == ""
    assert shown([f"bn{i}.num_batches_tracked" for i in range(9)] + ["Logits/weights"]) == (
        ": 9 x num_batches_tracked, Logits/weights")
    assert shown([f"x.{i}" for i in range(8)]) == ": x.0, x.1, x.2, x.3, x.4, x.5 and 2 more"
