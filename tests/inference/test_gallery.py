import json
import os
import tracemalloc

import numpy as np
import pytest

from tests import galleries
from tf_facenet import locks
from tf_facenet.inference import gallery as gallery_module
from tf_facenet.inference.gallery import Gallery
from tf_facenet.inference.gallery_files import ARRAYS, DESCRIPTION, check_place


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


@pytest.mark.parametrize("small", [0, 10**6])  # rounded first, or all products
@pytest.mark.parametrize("decay", [0.8, 1.0])
@pytest.mark.parametrize("k", [1, 5, 300])
def test_search_is_exact(decay, k, small, monkeypatch):
    monkeypatch.setattr(gallery_module, "SMALL", small)
    monkeypatch.setattr(gallery_module, "FEW", 40)
    rows, names = people(decay=decay)
    queries, _ = people(each=1, decay=decay, seed=0)
    similarities, found = Gallery(rows, names).search(queries, k)
    products = queries @ rows.T
    np.testing.assert_allclose(similarities, -np.sort(-products, axis=1)[:, :k], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(products, found, axis=1), similarities, atol=1e-5)
    assert all(len(set(row)) == k for row in found.tolist())


@pytest.mark.parametrize("k", [1, 5, 1000])
def test_both_ways_find_the_same_to_the_last_bit(k, monkeypatch):
    rows, names = people(each=20)
    rows[500:] = rows[:300]  # of equal rows the first comes first
    gallery, queries = Gallery(rows, names), np.concatenate([rows[:300:25], -rows[:3], 7 * rows[3:6]])
    monkeypatch.setattr(gallery_module, "CHUNK", 13)
    found = []
    for small, few in ((10**6, 0), (0, 10**6), (0, 0)):
        monkeypatch.setattr(gallery_module, "SMALL", small)
        monkeypatch.setattr(gallery_module, "FEW", few)
        found.append(gallery.search(queries, k))
    for part in zip(*found, strict=True):
        np.testing.assert_array_equal(part, np.broadcast_to(part[0], np.shape(part)))
    assert found[0][1][:12, :2].tolist() == [[at, 500 + at][:k] for at in range(0, 300, 25)]
    assert gallery.search(np.empty((0, 32)), k)[1].shape == (0, min(k, 800))


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


def test_faces_that_it_has_already_are_not_added_again(tmp_path):
    rows, names = people(count=5)
    Gallery(rows[:100], names[:100]).save(tmp_path)
    for new, name, expected in ((rows, names, [False] * 100 + [True] * 25), (rows, names, [False] * 125),
                                (rows[:3], ["somebody else"] * 3, [True] * 3)):
        assert Gallery.add(tmp_path, new, name)[1].tolist() == expected
    assert Gallery.load(tmp_path).names == [*names, *["somebody else"] * 3]


def test_one_photograph_under_two_names_is_added_once_a_name(tmp_path):
    """Also where the nearest row, of two that are equal, is the other name's; and copies of one run."""
    face = np.eye(1, 3)
    for added in ([True, True, False], [False] * 3):
        gallery, new = Gallery.add(tmp_path / "g", np.repeat(face, 3, axis=0), ["ann", "beth", "ann"])
        assert (new.tolist(), gallery.names) == (added, ["ann", "beth"])


def test_copies_of_rows_whose_norm_is_not_quite_1(tmp_path):
    for added in (3, 0):
        assert Gallery.add(tmp_path / "g", np.eye(3) * [0.9995, 1.0005, 1], list("abc"))[1].sum() == added


def test_nothing_is_written_if_nobody_is_new(tmp_path):
    Gallery.add(tmp_path, np.eye(2), ["a", "b"])
    before = {item.name: item.stat().st_mtime_ns for item in tmp_path.iterdir()}
    Gallery.add(tmp_path, np.eye(2), ["a", "b"])
    assert {item.name: item.stat().st_mtime_ns for item in tmp_path.iterdir()} == before


def test_other_files_stay_and_older_versions_go(tmp_path):
    (tmp_path / "notes.txt").write_text("theirs")
    for number in range(3):
        Gallery.add(tmp_path, np.eye(3)[number:number + 1], [str(number)])
        (tmp_path / "rows-0123456789ab.npy").touch()  # of a writer that was killed
    (tmp_path / "rows-0123456789ab.npy").unlink()
    assert len(list(tmp_path.iterdir())) == len(ARRAYS) + len(["gallery.json", "gallery.lock", "notes.txt"])


def test_a_folder_that_a_first_writer_has_begun_is_no_obstacle(tmp_path):
    """He may be at work, or was killed; then what he has made goes."""
    begun = ("gallery.lock", "rows-0123456789ab.npy", ".tmp-0123456789ab-codes-0123456789ab.npy",
             ".tmp-0123456789ab-gallery.json")
    for name in begun:
        (tmp_path / name).write_text("half")
    check_place(tmp_path)
    Gallery.add(tmp_path, np.eye(3), list("abc"))
    assert len(list(tmp_path.iterdir())) == len(ARRAYS) + len(["gallery.json", "gallery.lock"])
    assert Gallery.load(tmp_path).names == list("abc")


def test_a_description_that_is_somebody_elses_is_not_replaced(tmp_path):
    theirs = {DESCRIPTION: '{"pictures": ["a.jpg"]}', "rows.npy": "theirs"}
    for name, text in theirs.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{DESCRIPTION}' is damaged or not a gallery's .* Remove it, or name another"):
        Gallery(np.eye(3), list("abc")).save(tmp_path)
    assert {name: (tmp_path / name).read_text() for name in theirs} == theirs


def test_a_system_without_locks_as_windows_writes_too(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_CLOEXEC")
    monkeypatch.setattr(locks, "fcntl", None)
    assert Gallery.add(tmp_path, np.eye(3), list("abc"))[1].all()


def test_galleries_without_versions_are_read_and_extended(tmp_path):
    """As this package wrote them at first."""
    folder = tmp_path / "gallery"
    Gallery(np.eye(2, 3), ["a", "b"], "m").save(folder)
    for name in ARRAYS:
        file_of(folder, name).rename(folder / f"{name}.npy")
    (folder / DESCRIPTION).write_text(json.dumps({"model_id": "m", "names": ["a", "b"]}))
    assert Gallery.load(folder).names == ["a", "b"]
    assert Gallery.add(folder, np.eye(3)[2:], ["c"], "m")[0].names == ["a", "b", "c"]
    assert not (folder / "rows.npy").exists()


def test_a_version_that_is_mapped_can_be_read_on(tmp_path):
    Gallery(np.eye(3), ["a", "b", "c"]).save(tmp_path)
    old = Gallery.load(tmp_path)
    Gallery(np.eye(3)[::-1], ["x", "y", "z"]).save(tmp_path)
    np.testing.assert_array_equal(old.rows, np.eye(3))
    assert old.identify(np.eye(3)[:1], 0.5)[0] == ["a"]


def test_a_writer_that_fails_leaves_the_version_before(tmp_path, monkeypatch):
    Gallery(np.eye(3), ["a", "b", "c"]).save(tmp_path)
    before = sorted(item.name for item in tmp_path.iterdir())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for place in ("save", None):
        with monkeypatch.context() as patch:
            patch.setattr(np, "save", full) if place else patch.setattr(json, "dumps", lambda *_, **__: 3)
            with pytest.raises((OSError, TypeError)):
                Gallery(np.eye(3), ["x", "y", "z"]).save(tmp_path)
        assert sorted(item.name for item in tmp_path.iterdir()) == before
        assert Gallery.load(tmp_path).names == ["a", "b", "c"]


def test_writers_and_readers_at_once(tmp_path):
    """Nobody is lost, no face has another's name, no reader fails; `make torture` does it for a minute."""
    galleries.check(tmp_path / "gallery", writers=3, readers=2, count=8)


@pytest.mark.parametrize("small", [0, 10**6])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_query_that_is_no_number(bad, small, monkeypatch):
    monkeypatch.setattr(gallery_module, "SMALL", small)
    with pytest.raises(ValueError, match="Row 1 of the 2 embeddings has a number that is NaN or infinite"):
        Gallery(np.eye(3), ["a", "b", "c"]).search([[1, 0, 0], [0, bad, 1]])


def test_products_are_made_in_blocks(monkeypatch):
    """Of 1,000 rows by 50 queries 4,000 products are made at a time, and what is found is the same."""
    rows, names = people()
    expected = Gallery(rows, names).search(rows[::20], 3)
    monkeypatch.setattr(gallery_module, "BLOCK", 4000)
    shapes = []

    class Rows:
        shape = rows.shape

        @property
        def T(self):  # noqa: N802  (NumPy's name)
            return self

        def __getitem__(self, chosen):
            return rows[chosen]

        def __rmatmul__(self, queries):
            shapes.append(len(queries))
            return np.asarray(queries) @ rows.T

        __array_ufunc__ = None

    gallery = Gallery(rows, names)
    gallery.rows = Rows()
    for found, whole in zip(gallery.search(rows[::20], 3), expected, strict=True):
        np.testing.assert_array_equal(found, whole)
    assert max(shapes) == 4


@pytest.mark.parametrize("k", [1, 3])
def test_products_do_not_stay_in_memory(k, monkeypatch):
    """Of 1,000 rows by 2,000 queries all products are 8 MB."""
    rows, names = people()
    gallery, queries = Gallery(rows, names), np.tile(rows, (2, 1))
    monkeypatch.setattr(gallery_module, "BLOCK", 50_000)
    tracemalloc.start()
    try:
        gallery.search(queries, k)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("k", [1, 3])
def test_equal_rows_come_in_their_order(k):
    gallery = Gallery(np.repeat(np.eye(2), 4, axis=0), list("aaaabbbb"))
    assert gallery.search([[0, 1]], k)[1].tolist() == [[4, 5, 6][:k]]


def file_of(folder, name):
    """The file of an array, whatever the version."""
    return next(folder.glob(f"{name}-*.npy"))


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
    description = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps({**description, "names": ["a"]}))
    with pytest.raises(ValueError, match="has another kind or number of values"):
        Gallery.load(folder)
    file_of(folder, "codes").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match="is damaged"):
        Gallery.load(folder)
    Gallery(np.eye(3), ["a", "b", "c"]).save(folder)
    (folder / DESCRIPTION).write_text("{}")
    with pytest.raises(ValueError, match="is damaged"):
        Gallery.load(folder)


@pytest.mark.parametrize(("name", "content"), [
    ("rows", b""), ("rows", b"\x93NUMPY\x01\0\x0a\0{'descr':\n"), ("rows", np.eye(2, 3)),
    ("rows", np.zeros(2, np.float32)), ("codes", np.zeros((2, 4), np.int8)), ("scales", np.zeros((2, 1))),
    ("errors", np.zeros(2, complex)), (DESCRIPTION, {"names": 3}), (DESCRIPTION, b"[]"), (DESCRIPTION, b"{}"),
    (DESCRIPTION, b"[" * 100_000), (DESCRIPTION, {"names": ["a", 1]}), (DESCRIPTION, {"model_id": None}),
    (DESCRIPTION, {"version": "../../elsewhere"}), (DESCRIPTION, {"version": 3}),
    (DESCRIPTION, {"version": "0123456789ab"}), (DESCRIPTION, {"more": 1})])
def test_files_of_another_kind(name, content, tmp_path):
    folder = tmp_path / "gallery"
    Gallery(np.eye(2, 3), ["a", "b"]).save(folder)
    file = folder / name if name == DESCRIPTION else file_of(folder, name)
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif isinstance(content, dict):
        file.write_text(json.dumps({**json.loads(file.read_text()), **content}))
    else:
        np.save(file, content)
    with pytest.raises(ValueError, match="gallery' is damaged.*Make it again"):
        Gallery.load(folder)


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
