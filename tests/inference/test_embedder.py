import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny
from tf_facenet.data.in_order import evaluation_batches
from tf_facenet.inference.embedder import Embedder
from tf_facenet.inference.model_file import save_model

SIZE = (20, 16)


@pytest.fixture(scope="module")
def model():
    """A network whose batch statistics and dropout would show."""
    keras.utils.set_random_seed(3)
    model = tiny.create(SIZE, 5, keep_probability=0.5)
    for layer in ("bn1", "bn2"):
        model.get_layer(layer).moving_mean.assign(np.random.default_rng(1).normal(size=[
            *model.get_layer(layer).moving_mean.shape]))
    return model


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(2).integers(0, 256, (7, *SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def embedder(model):
    return Embedder(model, {"image_size": list(SIZE)}, batch_size=3)


def unit(rows):
    rows = np.asarray(rows, "float64")
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def features(model, pixels):
    return model.predict(pixels.astype("float32"), verbose=0)


def png(image):
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int64"])
def test_arrays(model, embedder, pixels, dtype):
    embeddings = embedder.embed(pixels.astype(dtype))
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, unit(features(model, pixels)), atol=1e-6)


@pytest.mark.parametrize("flip", ["none", "concat", "sum"])
def test_quality_is_the_norm_of_the_features(model, embedder, pixels, flip):
    embeddings, quality = embedder.embed(pixels, flip, quality=True)
    np.testing.assert_array_equal(embeddings, embedder.embed(pixels, flip))
    np.testing.assert_allclose(quality, np.linalg.norm(features(model, pixels), axis=1), rtol=1e-5)


def test_tensors(embedder, pixels):
    np.testing.assert_array_equal(embedder.embed(tf.constant(pixels)), embedder.embed(pixels))


def test_paths_and_bytes_in_any_order_and_number(model, embedder, pixels, tmp_path):
    (tmp_path / "0.png").write_bytes(png(pixels[0]))
    kinds = [str(tmp_path / "0.png"), *(png(image) for image in pixels[1:4])]
    order = [3, 0, 0, 2, 1, 3, 0]
    samples = np.empty(len(order), object)
    samples[:] = [kinds[index] for index in order]
    expected = unit(features(model, pixels))[order]
    np.testing.assert_allclose(embedder.embed(samples), expected, atol=1e-6)
    np.testing.assert_allclose(embedder.embed(list(samples)), expected, atol=1e-6)
    same = embedder.embed([tmp_path / "0.png"])
    np.testing.assert_allclose(same, expected[1:2], atol=1e-6)


def test_the_order_of_many_batches(embedder, pixels):
    order = np.random.default_rng(4).integers(0, len(pixels), 40)
    np.testing.assert_allclose(embedder.embed(pixels[order]), embedder.embed(pixels)[order], atol=1e-6)


def test_every_different_sample_is_read_and_embedded_once(embedder, pixels, monkeypatch):
    asked = []

    def spy(samples, *arguments, rows, **options):
        asked.append([samples[row] for row in rows])
        return evaluation_batches(samples, *arguments, rows=rows, **options)

    monkeypatch.setattr("tf_facenet.inference.embedder.evaluation_batches", spy)
    one, two = png(pixels[0]), png(pixels[1])
    done = []
    embeddings = embedder.embed([one, two, bytes(bytearray(one)), one], progress=done.append)
    assert asked == [[one, two]]
    assert done == [1, 2]
    np.testing.assert_array_equal(embeddings[0], embeddings[3])


def test_progress_counts_batches(embedder, pixels):
    done = []
    embedder.embed(pixels, progress=done.append)
    assert done == [3, 6, 7]


def test_flips(model, embedder, pixels):
    plain, mirrored = features(model, pixels), features(model, pixels[:, :, ::-1])
    concat = np.hstack([unit(plain), unit(mirrored)])
    np.testing.assert_allclose(embedder.embed(pixels, "concat"), concat, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(concat, axis=1), np.sqrt(2))
    # Features, not embeddings, are added: a long one counts for more.
    np.testing.assert_allclose(embedder.embed(pixels, "sum"), unit(plain + mirrored), atol=1e-6)
    assert np.abs(unit(plain + mirrored) - unit(unit(plain) + unit(mirrored))).max() > 1e-4


def test_zero_features_stay_finite(pixels):
    zero = Embedder(lambda images: tf.zeros([tf.shape(images)[0], 4]), {"image_size": SIZE})
    for flip in ("none", "concat", "sum"):
        assert not zero.embed(pixels, flip).any()


def test_functions_and_half_precision(pixels):
    def mean_colour(images):
        return tf.cast(tf.reduce_mean(tf.cast(images, tf.float32), [1, 2]), tf.bfloat16)

    embeddings = Embedder(mean_colour, {"image_size": SIZE}).embed(pixels)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-6)


def test_one_trace_serves_every_batch(pixels):
    traces = []

    def network(images):
        traces.append(images.shape)
        return tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])

    embedder = Embedder(network, {"image_size": SIZE}, batch_size=4)
    for count in (7, 2, 4, 1):
        embedder.embed(pixels[:count])
    assert traces == [(None, *SIZE, 3)]


def test_weights_are_followed(embedder, model, pixels):
    before = embedder.embed(pixels)
    kernel = model.get_layer("features").kernel
    old = np.array(kernel)
    kernel.assign(old[:, ::-1])
    after = embedder.embed(pixels)
    kernel.assign(old)
    np.testing.assert_allclose(after, before[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(embedder.embed(pixels), before, atol=1e-6)


def test_load(model, embedder, pixels, tmp_path):
    save_model(model, tmp_path / "run" / "model.keras", {"template": "lfw"})
    for path in (tmp_path / "run", tmp_path / "run" / "model.keras"):
        loaded = Embedder.load(path, batch_size=5)
        assert loaded.image_size == SIZE
        assert loaded.batch_size == 5
        assert loaded.metadata["template"] == "lfw"
        np.testing.assert_allclose(loaded.embed(pixels), embedder.embed(pixels), atol=1e-6)


def test_mistakes(embedder, pixels, tmp_path):
    with pytest.raises(ValueError, match="Unknown flip 'both'. Choose one of: concat, none, sum."):
        embedder.embed(pixels, "both")
    for nothing in ([], np.zeros((0, *SIZE, 3)), "face.jpg", b"jpeg", tmp_path):
        with pytest.raises(ValueError, match="expected a list of at least one path or image"):
            embedder.embed(nothing)
    with pytest.raises(ValueError, match=r"\(7, 16, 20, 3\); .* takes N images \(20, 16, 3\)"):
        embedder.embed(pixels.transpose(0, 2, 1, 3))
    with pytest.raises(ValueError, match=r"shape \(20, 16, 3\)"):
        embedder.embed(pixels[0])
    with pytest.raises(ValueError, match=r"list with ndarray: .* Stack images to one array .* with np.stack"):
        embedder.embed([png(pixels[0]), pixels[0]])
    for arrays in (pixels, list(pixels)):
        with pytest.raises(ValueError, match="align='auto' got pixels .* must be paths or encoded images"):
            embedder.embed(arrays, align="auto")
    with pytest.raises(ValueError, match="batch_size is 0; expected at least 1"):
        Embedder(len, {}, batch_size=0)
    with pytest.raises(OSError, match="No model at"):
        Embedder.load(tmp_path / "none")


@pytest.mark.parametrize("name", ["bad.jpg", "missing.jpg"])
def test_unreadable_files_are_named(embedder, pixels, tmp_path, name):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    path = str(tmp_path / name)
    with pytest.raises(OSError, match=r"Images that cannot be read: .*\. Replace") as error:
        embedder.embed([png(pixels[0]), path])
    assert path in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_step_of_a_pipeline(embedder, pixels, tmp_path):
    from sklearn.base import clone
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    labels = np.arange(7) % 2
    paths = []
    for number in range(7):  # people are dark or bright
        paths.append(str(tmp_path / f"{number}.png"))
        (tmp_path / f"{number}.png").write_bytes(png(pixels[number] // 2 + np.uint8(127 * labels[number])))
    pipeline = make_pipeline(embedder, LinearSVC())
    assert pipeline.fit(paths, labels).predict(paths).tolist() == labels.tolist()
    assert cross_val_score(pipeline, paths, labels, cv=3).mean() > 0.6
    twin = clone(pipeline).set_params(embedder__batch_size=2)[0]
    assert (twin.batch_size, embedder.batch_size) == (2, 3)
    np.testing.assert_allclose(twin.transform(paths), embedder.embed(paths), atol=1e-6)
    with pytest.raises(ValueError, match="Unknown setting of an Embedder 'model'"):
        twin.set_params(model=None)


@pytest.mark.parametrize("flip", ["none", "concat", "sum"])
@pytest.mark.parametrize("distance", ["squared-L2", "cosine"])
def test_verify(model, pixels, flip, distance):
    first, second = png(pixels[0]), png(pixels[1])
    pair = unit(Embedder(model, {"image_size": SIZE}).embed([first, second], flip))
    squared = np.sum((pair[0] - pair[1]) ** 2)
    for factor in (0.9, 1.1):
        value = factor * squared if distance == "squared-L2" else np.arccos(1 - factor * squared / 2) / np.pi
        embedder = Embedder(model, {"image_size": SIZE, "threshold": {"distance": distance, "value": value}})
        np.testing.assert_allclose(embedder.threshold, factor * squared, rtol=1e-6)
        measured, same = embedder.verify(first, second, flip)
        np.testing.assert_allclose(measured, squared, rtol=1e-4)  # of unit rows, 0 to 4, with each flip
        assert same == (factor > 1)


def test_verify_without_a_threshold(embedder, pixels):
    with pytest.raises(ValueError, match="The model has no threshold"):
        embedder.verify(png(pixels[0]), png(pixels[1]))
