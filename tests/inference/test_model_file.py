import json
import zipfile

import keras
import numpy as np
import pytest

from tests import process, tiny
from tf_facenet import backbones
from tf_facenet.inference.embedder import Embedder
from tf_facenet.inference.metadata import MEMBER, template
from tf_facenet.inference.model_file import fingerprint, load_model, save_model, write_metadata

METADATA = {"backbone": "tiny", "image_size": [20, 16], "embedding_size": 5, "template": "lfw",
            "standardization": "fixed", "color_order": "RGB", "class_names": ["Zoë", "山"],
            "threshold": {"value": 1.25}, "options": {"seed": 1}, "data_licence": "CC0",
            "version": "0", "model_id": "the network's own"}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return tiny.create((20, 16), 5)


@pytest.fixture
def pixels():
    return np.random.default_rng(1).uniform(0, 255, (3, 20, 16, 3)).astype("float32")


def test_file_and_run_folder_give_back_network_and_metadata(model, pixels, tmp_path):
    save_model(model, tmp_path / "run" / "model.keras", METADATA)
    for path in (tmp_path / "run", tmp_path / "run" / "model.keras", str(tmp_path / "run")):
        loaded, metadata = load_model(path)
        assert metadata == {**METADATA, "model_id": fingerprint(model)}
        np.testing.assert_array_equal(loaded(pixels), model(pixels))
        assert template(path) == "lfw"
    assert template(tmp_path / "x.weights.h5") == template(tmp_path) == ""
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["model.keras"]


def test_keras_reads_the_file_and_we_read_the_files_of_keras(model, pixels, tmp_path):
    save_model(model, tmp_path / "ours.keras", METADATA)
    ours = keras.saving.load_model(tmp_path / "ours.keras")
    np.testing.assert_array_equal(ours(pixels), model(pixels))

    model.save(tmp_path / "plain.keras")
    plain, metadata = load_model(tmp_path / "plain.keras")
    np.testing.assert_array_equal(plain(pixels), model(pixels))
    assert metadata["image_size"] == [20, 16]
    assert metadata["embedding_size"] == 5
    assert metadata["color_order"] == "RGB"
    assert set(metadata) == set(METADATA)


def test_sizes_are_those_of_the_network(model, tmp_path):
    save_model(model, tmp_path / "m.keras", {**METADATA, "image_size": 99, "embedding_size": 1})
    metadata = load_model(tmp_path / "m.keras")[1]
    assert (metadata["image_size"], metadata["embedding_size"]) == ([20, 16], 5)


@pytest.mark.parametrize("failing", ["save", "metadata"])
def test_failure_keeps_the_older_file(model, tmp_path, monkeypatch, failing):
    path = tmp_path / "model.keras"
    save_model(model, path, METADATA)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    target = (model, "save") if failing == "save" else (zipfile.ZipFile, "writestr")
    if failing == "metadata":
        with pytest.raises(TypeError):
            save_model(model, path, {"options": {1, 2}})
    monkeypatch.setattr(*target, full)
    with pytest.raises(OSError, match="No space left"):
        save_model(model, path, METADATA)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_saving_needs_the_ending(model, tmp_path):
    with pytest.raises(ValueError, match=r"expected a name that ends in \.keras"):
        save_model(model, tmp_path / "model.h5", METADATA)


def test_missing_and_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No model at '.*nowhere'\. Expected a run folder"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(OSError, match="Expected model.keras or saved_model.pb in .*: nothing"):
        load_model(tmp_path)
    for name in "abcdefghijk":
        (tmp_path / name).touch()
    with pytest.raises(OSError, match="found: a, b, c, d, e, f, g, h, …"):
        load_model(tmp_path)


def test_saved_model_holds_no_layers(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ValueError, match="is a SavedModel, which holds no layers"):
        load_model(tmp_path)


def test_damaged_files(model, tmp_path):
    path = tmp_path / "m.keras"
    save_model(model, path, METADATA)
    whole = path.read_bytes()
    for part in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(part)
        with pytest.raises(ValueError, match="is not a model file or only a part of one"):
            load_model(path)
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
    with pytest.raises(ValueError, match=r"m\.keras' cannot be loaded: Bad CRC-32"):
        load_model(path)


def test_an_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(ValueError, match="cannot be loaded: .*config.json"):
        load_model(tmp_path / "m.keras")


def test_metadata_that_are_not_json(model, tmp_path):
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "a") as archive:
        archive.writestr(MEMBER, "{")
    with pytest.raises(ValueError, match="cannot be loaded: .*Expecting property name"):
        load_model(tmp_path / "m.keras")


def _save_functional(path, layer, shape=(8, 8, 3)):
    inputs = keras.Input(shape)
    keras.Model(inputs, layer(inputs)).save(path)
    return path


def test_code_in_the_file_is_not_run(tmp_path):
    path = _save_functional(tmp_path / "m.keras", keras.layers.Lambda(lambda x: x[:, 0, 0]))
    with pytest.raises(ValueError, match="cannot be loaded: Requested the deserialization of a "):
        load_model(path)


def test_unknown_layer_is_named(tmp_path):
    class Strange(keras.layers.Flatten):
        pass

    path = _save_functional(tmp_path / "m.keras", Strange())
    message = r"cannot be loaded: Could not locate class 'Strange' of '.*test_model_file'\. If .* with --import, or"
    with pytest.raises(ValueError, match=message) as e:
        load_model(path)
    assert len(str(e.value).splitlines()) == 1
    model, metadata = load_model(path, {"Strange": Strange})
    assert isinstance(model.layers[1], Strange)
    assert metadata["embedding_size"] == 8 * 8 * 3
    assert Embedder.load(path, custom_objects={"Strange": Strange}).image_size == (8, 8)
    with keras.saving.custom_object_scope({"Strange": Strange}):
        load_model(path)


@pytest.mark.parametrize("module", ["canary_module", "keras_hub.canary_module", "keras_hub"])
@pytest.mark.parametrize("registered", ["Strange", "canary_module>Strange", None])
def test_a_file_imports_no_module(module, registered, model, tmp_path, monkeypatch):
    """Neither by its layers nor by what else it says. Keras 3.15 imports modules of keras_hub and its like itself."""
    (tmp_path / "keras_hub").mkdir()
    for name in ("canary_module", "keras_hub/__init__", "keras_hub/canary_module"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    strange, plain = tmp_path / "strange.keras", tmp_path / "plain.keras"
    save_model(model, plain, {**METADATA, "backbone": f"{module}:create", "options": {"import_": module}})
    load_model(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(strange, "w") as new:
        config = json.loads(old.read("config.json"))
        config["config"]["layers"][1] |= {"module": module, "class_name": "Strange", "registered_name": registered}
        for name in old.namelist():
            new.writestr(name, old.read(name) if name != "config.json" else json.dumps(config))
    with pytest.raises(ValueError, match=f"Could not locate class 'Strange' of '{module}'"):
        Embedder.load(strange)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(("layer", "shape", "message"), [
    (keras.layers.Flatten, (8, 8, 1), "expected one batch of colour images"),
    (keras.layers.Flatten, (8,), "expected one batch of colour images"),
    (keras.layers.ReLU, (8, 8, 3), "expected one batch of features"),
    (keras.layers.GlobalAveragePooling2D, (None, 8, 3), "takes images of any size"),
])
def test_networks_that_do_not_embed_images(tmp_path, layer, shape, message):
    path = _save_functional(tmp_path / "m.keras", layer(), shape)
    with pytest.raises(ValueError, match=message):
        load_model(path)


def test_backbones_of_the_package_are_known_in_a_fresh_process(tmp_path):
    """Layers of ours are found although nothing but model_file has been imported."""
    save_model(backbones.create("mobilenet_v1", 64, 8, alpha=0.25), tmp_path / "m.keras", {})
    code = ("import sys; from tf_facenet.inference.model_file import load_model; "
            "print(load_model(sys.argv[1])[1]['embedding_size'])")
    done = process.python("-c", code, tmp_path / "m.keras")
    assert done.stdout.split() == ["8"], done.stderr


def test_the_fingerprint_follows_the_weights(model, tmp_path):
    save_model(model, tmp_path / "a.keras", {})
    before = load_model(tmp_path / "a.keras")[1]["model_id"]
    assert before == fingerprint(model)
    weights = model.get_weights()
    model.set_weights([weight + 1 for weight in weights])
    assert fingerprint(model) != before
    model.set_weights(weights)
    assert fingerprint(model) == before
    model.save(tmp_path / "foreign.keras")  # without our metadata
    assert load_model(tmp_path / "foreign.keras")[1]["model_id"] == before


def test_changed_metadata(model, tmp_path):
    save_model(model, tmp_path / "model.keras", {"data_licence": "own", "threshold": None})
    write_metadata(tmp_path, {"threshold": {"value": 1.0}})
    loaded, metadata = load_model(tmp_path)
    assert metadata["threshold"] == {"value": 1.0}
    assert metadata["data_licence"] == "own"
    for before, after in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_metadata_of_no_model_file(tmp_path):
    (tmp_path / "model.keras").write_text("text")
    with pytest.raises(ValueError, match="only those can be changed"):
        write_metadata(tmp_path, {})


@pytest.mark.parametrize(("text", "message"), [
    ("[]", "holds a list"), ("[" * 100_000, "holds no JSON"), ('{"class_names": 3}', "class_names 3; expected a list"),
    ('{"threshold": "x"}', "threshold 'x'; expected null or a distance and a value"),
    ('{"threshold": {"value": NaN}}', "threshold .*nan"), ('{"template": null}', "template None; expected a text"),
    ('{"options": []}', r"options \[\]; expected names and values")])
def test_metadata_of_another_kind(text, message, model, tmp_path):
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "a") as archive:
        archive.writestr(MEMBER, text)
    with pytest.raises(ValueError, match=f"m.keras' cannot be loaded: .*{message}"):
        load_model(tmp_path / "m.keras")
