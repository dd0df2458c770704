import io
import json
import struct

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import process, tiny
from tests.export.expected import METADATA, assert_equal, outputs
from tests.pictures import encode, exif_in_odd_places, exif_in_wrong_places, picture
from tf_facenet.data import images
from tf_facenet.export import check_place, file_headers
from tf_facenet.export import saved_model as exporter
from tf_facenet.export.saved_model import SIGNATURES
from tf_facenet.inference.embedder import Embedder


@pytest.fixture(scope="module")
def exported(model, export, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "tiny"
    assert export(model, METADATA, directory).difference < 1e-5
    return directory


def test_signatures(model, exported, pixels):
    signatures = tf.saved_model.load(exported).signatures
    assert set(signatures) == set(SIGNATURES)
    expected = outputs(model, pixels)
    floats = tf.constant(pixels, tf.float32)
    assert_equal(signatures["serving_default"](pixels=floats), expected)
    assert_equal(signatures["serving_uint8"](pixels=tf.constant(pixels)), expected)
    encoded = tf.stack([tf.io.encode_png(image) for image in pixels])
    assert_equal(signatures["jpeg"](encoded=encoded), expected)


def test_files_of_any_size_are_stretched(model, exported):
    large = np.random.default_rng(4).integers(0, 256, (2, 50, 30, 3), np.uint8)
    encoded = tf.stack([tf.io.encode_png(image) for image in large])
    resized = np.asarray(tf.image.resize(large, (20, 16), antialias=True))
    result = tf.saved_model.load(exported).signatures["jpeg"](encoded=encoded)
    assert_equal(result, outputs(model, resized))


def test_files_are_turned_upright(model, exported, pixels):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by 90°
    file = io.BytesIO()
    Image.fromarray(np.rot90(pixels[0])).save(file, "PNG", exif=exif)
    encoded = tf.constant([file.getvalue()])
    result = tf.saved_model.load(exported).signatures["jpeg"](encoded=encoded)
    assert_equal(result, outputs(model, pixels[:1]))


def read_in_graph(*contents):
    """For each file what the signature makes of it: an array, or None."""
    pixels = tf.function(file_headers.pixels, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)

    def one(content):
        try:
            return pixels(content).numpy()
        except tf.errors.InvalidArgumentError:
            return None

    return [one(content) for content in contents]


def read_in_python(content):
    try:
        return images.pixels(content)
    except ValueError:
        return None


def claiming(png, height, width):
    return png[:16] + struct.pack(">II", width, height) + png[24:]


def files():
    """Name → file of all that the signature reads or leaves out as Python does."""
    image, later = picture(), Image.fromarray(picture(seed=9))
    png, jpeg = encode(image), encode(image, "JPEG")
    moving = encode(image, "GIF", save_all=True, append_images=[later])
    turned = {f"{name}, {orientation} {order}": file for orientation in range(1, 9) for order in "<>"
              for name, file in exif_in_odd_places(image, orientation, order).items()
              if orientation == 6 or name == "JPEG, XMP before"}
    return turned | exif_in_wrong_places(image) | {
        "PNG": png, "16 bits": encode(image[..., 0], "PNG", "I;16"), "RGBA": encode(image, "PNG", "RGBA"),
        "BMP": encode(image, "BMP"), "BMP, grey": encode(image, "BMP", "L"), "BMP, RGBA": encode(image, "BMP", "RGBA"),
        "GIF": encode(image, "GIF"), "GIF, moving": moving, "GIF, its end is missing": moving[:-20],
        "GIF, cut": encode(image, "GIF")[:-20], "WebP": encode(image, "WEBP"),
        "WebP, lossless": encode(image, "WEBP", lossless=True),
        "WebP, transparent": encode(np.dstack([image, image[..., 0]]), "WEBP", "RGBA", lossless=True),
        "WebP, transparent and lossy": encode(np.dstack([image, image[..., 0]]), "WEBP", "RGBA"),
        "JPEG, cut": jpeg[:-50], "JPEG, cut in the header": jpeg[:100], "PNG, cut": png[:-50], "nothing": b"",
        "text": b"hello", "zeros": bytes(100), "huge": claiming(png, 20_000, 20_000),
        "very huge": claiming(png, 2**31 - 1, 2**31 - 1), "flat": claiming(png, 0, 40),
    }


def test_files_are_read_as_in_python():
    """Two readers, one answer: the exported one has no Python to call."""
    named = files()
    for name, found in zip(named, read_in_graph(*named.values()), strict=True):
        expected = read_in_python(named[name])
        assert (found is None) == (expected is None), name
        np.testing.assert_array_equal(found, expected, name)


def test_files_that_only_python_reads():
    moving = encode(picture(), "WEBP", save_all=True, append_images=[Image.fromarray(picture(seed=9))])
    others = [encode(picture(), "TIFF"), encode(picture(), "PPM"), encode(picture(), "BMP", "P"), moving]
    assert all(read_in_python(content) is not None for content in others)
    assert read_in_graph(*others) == [None] * 4


def test_a_bad_file_concerns_its_own_row(model, exported, pixels):
    good = [encode(image) for image in pixels[:2]]
    bad = [claiming(good[0], 20_000, 20_000), good[0][:-30], b"", b"hello"]
    jpeg = tf.saved_model.load(exported).signatures["jpeg"]
    result = jpeg(encoded=tf.constant([bad[0], good[0], *bad[1:], good[1]]))
    assert result["ok"].numpy().tolist() == [False, True, False, False, False, True]
    assert_equal({name: result[name].numpy()[[1, 5]] for name in ("embeddings", "norm")}, outputs(model, pixels[:2]))
    assert not np.any(result["embeddings"].numpy()[[0, 2, 3, 4]])
    assert not np.any(result["norm"].numpy()[[0, 2, 3, 4]])
    alone = jpeg(encoded=tf.constant(bad))
    assert not np.any(alone["ok"])
    assert not np.any(alone["embeddings"])


def test_a_zero_feature_has_a_finite_embedding(tmp_path, pixels, export):
    model = tiny.create((20, 16), 5)
    model.get_layer("features").kernel.assign(np.eye(16, 5))
    export(model, {}, tmp_path / "m")
    loaded = tf.saved_model.load(tmp_path / "m")
    for variable in loaded.model_variables:
        variable.assign(tf.zeros_like(variable))
    result = loaded.signatures["serving_uint8"](pixels=tf.constant(pixels))
    assert not np.any(result["embeddings"])
    assert not np.any(result["norm"])


def test_mixed_precision_is_exported_in_float32(pixels, tmp_path, export):
    keras.utils.set_random_seed(3)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = tiny.create((20, 16), 5)
    finally:
        keras.config.set_dtype_policy("float32")
    full = tiny.create((20, 16), 5)
    full.set_weights(half.get_weights())
    assert export(half, {}, tmp_path / "m").difference < 1e-5
    np.testing.assert_allclose(
        Embedder.load(tmp_path / "m").embed(pixels), outputs(full, pixels)[0], atol=1e-5)
    assert half.get_layer("conv1").compute_dtype == "bfloat16"
    assert np.abs(outputs(half, pixels)[0] - outputs(full, pixels)[0]).max() > 1e-5


def test_metadata(exported):
    text = (exported / "assets.extra" / "tf_facenet.json").read_text(encoding="utf-8")
    metadata = json.loads(text)
    assert {**metadata, **METADATA} == metadata
    assert metadata["color_order"] == "RGB"


def test_embedder_reads_it(model, exported, pixels):
    embedder = Embedder.load(exported, batch_size=3)
    assert embedder.metadata["class_names"] == ["Zoë"]
    direct = Embedder(model, {"image_size": [20, 16]}, batch_size=3)
    for flip in ("none", "concat", "sum"):
        np.testing.assert_allclose(
            embedder.embed(pixels, flip), direct.embed(pixels, flip), atol=1e-5)


PLAIN = """
import sys
class Block:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "tf_facenet":
            raise ImportError(name)
sys.meta_path.insert(0, Block())
import numpy, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
pixels = numpy.load(sys.argv[2])
result = loaded.signatures["serving_uint8"](pixels=tf.constant(pixels))
numpy.save(sys.argv[3], result["embeddings"])
print("tf_facenet" in sys.modules)
"""


def test_plain_tensorflow_runs_it(model, exported, pixels, tmp_path):
    np.save(tmp_path / "pixels.npy", pixels)
    done = process.python("-c", PLAIN, exported, tmp_path / "pixels.npy", tmp_path / "out.npy",
                          cwd=tmp_path)
    assert done.stdout.split() == ["False"], done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), outputs(model, pixels)[0], atol=1e-5)


def test_an_older_export_is_replaced_whole(model, tmp_path, export):
    export(model, {"template": "old"}, tmp_path / "m")
    older = tmp_path / "m" / "variables" / "variables.data-00000-of-00002"
    older.touch()
    export(model, {"template": "new"}, tmp_path / "m")
    assert Embedder.load(tmp_path / "m").metadata["template"] == "new"
    assert not older.exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "m"]


def test_other_folders_and_files_are_not_touched(model, tmp_path, export):
    (tmp_path / "photo").touch()
    for name in ("photo", "saved_model.pb"):
        (tmp_path / name).touch()
        with pytest.raises(FileExistsError, match="is not empty: it holds photo(, saved_model.pb)?, which would"):
            export(model, {}, tmp_path)
    with pytest.raises(FileExistsError, match="photo' is a file; expected a new or an empty folder"):
        export(model, {}, tmp_path / "photo")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["photo", "saved_model.pb"]


def test_a_saved_model_of_somebody_else_or_with_more_is_not_replaced(tmp_path):
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.old/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(FileExistsError, match="it holds saved_model.pb, variables/variables.index, variables/"):
        check_place(tmp_path)
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "tf_facenet.json").touch()
    with pytest.raises(FileExistsError, match="it holds variables/variables.old/notes.txt, which would be lost"):
        check_place(tmp_path)
    (tmp_path / "variables" / "variables.old" / "notes.txt").unlink()
    (tmp_path / "variables" / "variables.old").rmdir()
    check_place(tmp_path)


def test_a_wrong_export_is_not_kept(model, tmp_path, monkeypatch, export):
    export(model, {"template": "good"}, tmp_path / "m")
    decode = file_headers.pixels
    monkeypatch.setattr(file_headers, "pixels", lambda encoded: decode(encoded) // 2)
    with pytest.raises(ValueError, match=r"SavedModel differ from the network by .*; expected at most 0\.0001\."):
        export(model, {}, tmp_path / "m")
    assert Embedder.load(tmp_path / "m").metadata["template"] == "good"
    assert list(tmp_path.iterdir()) == [tmp_path / "m"]


def test_a_full_disk_is_an_os_error(model, tmp_path, monkeypatch, export):
    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(exporter.tf.saved_model, "save", full)
    with pytest.raises(OSError, match="Cannot write '.*m': No space left on device"):
        export(model, {}, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_foreign_saved_models_are_refused(tmp_path):
    tf.saved_model.save(tf.Module(), tmp_path)
    with pytest.raises(ValueError, match="is not an export of this package: expected the outp"):
        Embedder.load(tmp_path)
