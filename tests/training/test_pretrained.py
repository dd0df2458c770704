import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tests import tiny
from tf_facenet.inference.model_file import save_model
from tf_facenet.training import pretrained


def kernel(model, layer):
    return numpy(model.get_layer(layer).kernel)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    model = tiny.create(16, 6)
    folder = tmp_path_factory.mktemp("run")
    save_model(model, folder / "model.keras", {})
    model.save_weights(folder / "model.weights.h5")
    return model, folder


@pytest.mark.parametrize("name", ["", "model.keras", "model.weights.h5"])
def test_run_folder_model_file_and_weights_file(source, name):
    model, folder = source
    target = tiny.create(16, 6)
    names = pretrained.load(target, str(folder / name))
    assert names["loaded"] == ["conv1", "bn1", "conv2", "bn2", "features"]
    np.testing.assert_array_equal(kernel(target, "conv2"), kernel(model, "conv2"))


def test_another_embedding_size_skips_the_last_layer(source, caplog):
    model, folder = source
    target = tiny.create(24, 9)
    with caplog.at_level("INFO", "tf_facenet"):
        names = pretrained.load(target, str(folder))
    assert names == {"loaded": ["conv1", "bn1", "conv2", "bn2"], "skipped": ["features"],
                     "missing": []}
    assert "1 layers skipped: features" in caplog.text
    np.testing.assert_array_equal(kernel(target, "conv1"), kernel(model, "conv1"))


def test_missing_layers_are_named(source, tmp_path):
    save_model(tiny.create(16, 6, batch_norm=False), tmp_path / "model.keras", {})
    names = pretrained.load(tiny.create(16, 6), str(tmp_path))
    assert names["missing"] == ["bn1", "bn2"]


def test_another_network(source, tmp_path):
    from tf_facenet import backbones

    _, folder = source
    other = backbones.create("mobilenet_v2", 32, 6)
    with pytest.raises(ValueError, match="no layer has the name and shape"):
        pretrained.load(other, str(folder))
    with pytest.raises(ValueError, match="a weights file must be of the same network"):
        pretrained.load(other, str(folder / "model.weights.h5"))


def test_no_such_file():
    with pytest.raises(OSError, match="'nowhere' does not exist; expected a run folder"):
        pretrained.load(tiny.create(16, 6), "nowhere")


def test_freeze_by_pattern():
    model = tiny.create(16, 6)
    pretrained.freeze(model, "conv*,bn1")
    frozen = [layer.name for layer in model.layers if layer.weights and not layer.trainable]
    assert frozen == ["conv1", "bn1", "conv2"]
    with pytest.raises(ValueError, match="--freeze 'Mixed_.' matches no layer; .* conv1, bn1"):
        pretrained.freeze(model, "Mixed_*")
