import json

import numpy as np
import pytest

from tf_facenet.inference import gallery as gallery_module
from tf_facenet.inference.gallery import DESCRIPTION, Gallery


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def people(count=40, each=25, width=32, decay=0.9, seed=0):
    """Rows around centres, most of whose length lies in few directions, as in trained networks."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.standard_normal((width, width)))
    spread = decay ** np.arange(width)
    centers = rng.standard_normal((count, width)) * spread
    rows = np.repeat(centers, each, axis=0) + 0.3 * rng.standard_normal((count * each, width)) * spread
    return unit(rows @ turn), [f"person {i // each}" for i in range(count * each)]


def test_nearest_at_known_angles():
    degrees = np.radians([0, 10, 90, 180])
    gallery = Gallery(np.stack([np.cos(degrees), np.sin(degrees)], axis=1), ["a", "b", "c", "d"])
    similarities, rows = gallery.search(np.array([[np.cos(0.05), np.sin(0.05)]]), k=4)
    assert rows.tolist() == [[0, 1, 2, 3]]
    np.testing.assert_allclose(similarities[0], np.cos(np.abs(degrees - 0.05)), atol=1e-6)


@pytest.mark.parametrize("small", [0, 10**6])  # rounded first, or one product
@pytest.mark.parametrize("decay", [0.8, 1.0])
@pytest.mark.parametrize("k", [1, 5, 300])
def test_search_is_exact(decay, k, small, monkeypatch):
    monkeypatch.setattr(gallery_module, "SMALL", small)
    rows, names = people(decay=decay)
    queries, _ = people(each=1, decay=decay, seed=0)
    similarities, found = Gallery(rows, names).search(queries, k)
    products = queries @ rows.T
    np.testing.assert_allclose(similarities, -np.sort(-products, axis=1)[:, :k], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(products, found, axis=1), similarities, atol=1e-5)
    assert all(len(set(row)) == k for row in found.tolist())


def test_rounding_spares_most_rows(monkeypatch):
    monkeypatch.setattr(gallery_module, "SMALL", 0)
    rows, names = people(decay=1.0)
    gallery, read = Gallery(rows, names), []

    class Rows:
        shape = rows.shape

        def __getitem__(self, chosen):
            read.append(len(chosen))
            return rows[chosen]

    gallery.rows = Rows()
    gallery.search(rows[:10])
    assert len(read) == 10
    assert max(read) < 0.02 * len(rows)


def test_the_rounding_is_bounded():
    rows, names = people()
    gallery = Gallery(rows, names)
    rounded = gallery.codes * gallery.scales[:, None]
    np.testing.assert_allclose(np.linalg.norm(rows - rounded, axis=1), gallery.errors, atol=1e-6)
    assert gallery.errors.max() < 0.02


def test_more_wanted_than_there_are():
    gallery = Gallery(np.eye(2), ["a", "b"])
    assert gallery.search(np.eye(2), k=9)[1].shape == (2, 2)


def test_identify_says_unknown_below_the_threshold():
    gallery = Gallery(np.eye(3), ["ann", "bob", "eve"])
    query = unit(np.array([[1.0, 0.2, 0.0], [1.0, 1.0, 1.0]]))
    names, similarities = gallery.identify(query, threshold=0.7)
    assert names == ["ann", ""]
    np.testing.assert_allclose(similarities, [1 / np.sqrt(1.04), 1 / np.sqrt(3)], atol=1e-6)


def test_people_are_added_without_training():
    rows, names = people(count=5)
    grown = Gallery(rows[:100], names[:100], "m").with_people(rows[100:], names[100:])
    assert len(grown) == 125
    assert grown.model_id == "m"
    np.testing.assert_allclose(grown.rows, rows, atol=0)
    assert grown.identify(rows[-1:], 0.5)[0] == ["person 4"]


def test_faces_that_it_has_already():
    rows, names = people(count=5)
    gallery = Gallery(rows[:100], names[:100])
    assert gallery.has(rows, names).tolist() == [True] * 100 + [False] * 25
    assert not gallery.has(rows[:3], ["somebody else"] * 3).any()


def test_saved_and_loaded(tmp_path):
    rows, names = people(count=5)
    names[3] = "Zoë\nwith a second line"
    gallery = Gallery(rows, names, "some id")
    gallery.save(tmp_path / "gallery")
    loaded = Gallery.load(tmp_path / "gallery")
    assert isinstance(loaded.rows, np.memmap)
    assert (loaded.names, loaded.model_id) == (names, "some id")
    for before, after in zip(gallery.search(rows, 3), loaded.search(rows, 3), strict=True):
        np.testing.assert_allclose(before, after, atol=1e-6)


@pytest.mark.parametrize(("embeddings", "names", "message"), [
    (np.zeros((0, 3)), [], "at least one"),
    (np.eye(3), ["a"], "a name for each row"),
    (2 * np.eye(3), ["a", "b", "c"], "norm 1; got norms from 2 to 2"),
])
def test_what_is_no_gallery(embeddings, names, message):
    with pytest.raises(ValueError, match=message):
        Gallery(embeddings, names)


def test_faces_of_another_network():
    gallery = Gallery(np.eye(3), ["a", "b", "c"], "one")
    with pytest.raises(ValueError, match="of 4 numbers, those of the gallery 3. Use the model and the --flip"):
        gallery.search(np.eye(4))
    with pytest.raises(ValueError, match="made with model one, this is two"):
        gallery.check_model("two")
    gallery.check_model("one")


def test_damaged_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no gallery"):
        Gallery.load(tmp_path)
    folder = tmp_path / "gallery"
    Gallery(np.eye(3), ["a", "b", "c"]).save(folder)
    (folder / DESCRIPTION).write_text(json.dumps({"model_id": "", "names": ["a"]}))
    with pytest.raises(ValueError, match="has another kind or number of values"):
        Gallery.load(folder)
    (folder / "codes.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match="is damaged"):
        Gallery.load(folder)
    Gallery(np.eye(3), ["a", "b", "c"]).save(folder)
    (folder / DESCRIPTION).write_text("{}")
    with pytest.raises(ValueError, match="is damaged"):
        Gallery.load(folder)


@pytest.mark.parametrize(("name", "content"), [
    ("rows.npy", b""), ("rows.npy", b"\x93NUMPY\x01\0\x0a\0{'descr':\n"), ("rows.npy", np.eye(2, 3)),
    ("rows.npy", np.zeros(2, np.float32)), ("codes.npy", np.zeros((2, 4), np.int8)), ("scales.npy", np.zeros((2, 1))),
    ("errors.npy", np.zeros(2, complex)), (DESCRIPTION, b'{"names": 3, "model_id": ""}'), (DESCRIPTION, b"[]"),
    (DESCRIPTION, b"[" * 100_000), (DESCRIPTION, b'{"names": ["a", 1], "model_id": ""}'), (DESCRIPTION, b"{}"),
    (DESCRIPTION, b'{"names": ["a", "b"], "model_id": null}')])
def test_files_of_another_kind(name, content, tmp_path):
    Gallery(np.eye(2, 3), ["a", "b"]).save(tmp_path / "gallery")
    if isinstance(content, bytes):
        (tmp_path / "gallery" / name).write_bytes(content)
    else:
        np.save(tmp_path / "gallery" / name, content)
    with pytest.raises(ValueError, match="gallery' is damaged.*Make it again"):
        Gallery.load(tmp_path / "gallery")


@pytest.mark.filterwarnings("ignore:builtin type swig.*:DeprecationWarning", "ignore:numpy.core:DeprecationWarning")
def test_rows_handed_to_faiss(tmp_path):
    faiss = pytest.importorskip("faiss")
    rows, names = people()
    Gallery(rows, names).save(tmp_path / "gallery")
    gallery = Gallery.load(tmp_path / "gallery")
    queries = unit(rows[::97] + 0.05)
    index = faiss.IndexFlatIP(gallery.rows.shape[1])
    index.add(gallery.rows)
    similarities, places = index.search(queries, 10)
    expected, own = gallery.search(queries, 10)
    np.testing.assert_array_equal(places, own)
    np.testing.assert_allclose(similarities, expected, atol=1e-5)
