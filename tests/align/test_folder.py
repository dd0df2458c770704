import functools
import ntpath
import os
from pathlib import PureWindowsPath

import cv2
import numpy as np
import pytest

from tests.pictures import encode, exif, picture, with_exif, write
from tf_facenet.align import crop, detect, folder
from tf_facenet.align.detect import Detections, Detector
from tf_facenet.align.recipe import Recipe, noted_template
from tf_facenet.data import few_at_once
from tf_facenet.data.faces import Faces
from tf_facenet.data.pairs import read_pairs
from tf_facenet.weights.conversion import convert

IMAGE = picture(60, 80)
BOXES = np.array([[50, 5, 70, 25], [30, 20, 50, 44]], np.float32)  # the second is larger and in the middle
JPEG = encode(IMAGE, "JPEG", quality=95)


class Stub:
    """Finds two faces in any picture of 60×80, one in one of 80×60, none in others; counts its pictures."""

    def __init__(self, *_, batch_size):
        self.seen, self.most = 0, batch_size

    def __call__(self, images):
        assert len(images) <= self.most
        self.seen += len(images)
        return [self._faces({(60, 80): 2, (80, 60): 1}.get(image.shape[:2], 0)) for image in images]

    @staticmethod
    def _faces(count):
        boxes = BOXES[:count]
        landmarks = boxes[:, None, :2] + crop.TEMPLATES["112x96"].astype(np.float32) / 5
        return Detections(boxes, np.linspace(0.9, 0.8, count, dtype=np.float32), landmarks)


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    monkeypatch.setattr(detect, "Detector", Stub)
    folder._process.cache_clear()
    yield lambda recipe, target: folder._process(recipe, target)[0].seen
    folder._process.cache_clear()


def align(tmp_path, files, **options):
    """Align some files; returns the recipe, how many faces, and {relative path: reason}."""
    source = write(tmp_path / "in", files)
    recipe, target = Recipe(**options), tmp_path / "out"
    work = folder.plan(str(source), str(target))
    faces, bad = folder.run(folder.todo(work, recipe), recipe, target)
    return recipe, faces, {os.path.relpath(path, source): reason for path, reason in bad}


def results(tmp_path):
    return sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))


def face(path):
    return cv2.imread(str(path))[..., ::-1]


def listed(tmp_path):
    files = (tmp_path / "out").glob("bounding_boxes_*.txt")
    return sorted(line for file in files for line in file.read_text().splitlines())


def test_one_face_as_facenet_cuts_it(tmp_path):
    _, faces, bad = align(tmp_path, {"ann/1.png": encode(IMAGE), "bob/x/2.png": encode(IMAGE)}, image_size=32, margin=8)
    assert (faces, bad) == (2, {})
    assert results(tmp_path) == ["ann/1.png", "bob/x/2.png"]
    np.testing.assert_array_equal(face(tmp_path / "out/ann/1.png"), crop.margin_crop(IMAGE, BOXES[1], 8, 32)[0])
    assert listed(tmp_path) == [f"{tmp_path}/out/{name} 26 16 54 48" for name in ("ann/1.png", "bob/x/2.png")]


@pytest.mark.parametrize(("rule", "chosen"), [("central", 1), ("largest", 1), ("score", 0)])
def test_the_rule_chooses(tmp_path, rule, chosen):
    align(tmp_path, {"ann/1.png": encode(IMAGE)}, image_size=32, rule=rule)
    np.testing.assert_array_equal(face(tmp_path / "out/ann/1.png"), crop.margin_crop(IMAGE, BOXES[chosen], 44, 32)[0])


@pytest.mark.parametrize("template", crop.TEMPLATES)
def test_faces_on_a_template(tmp_path, template):
    align(tmp_path, {"ann/1.png": encode(IMAGE)}, template=template)
    matrix = [[5, 0, -5 * BOXES[1, 0] + (8 if template == "112x112" else 0)], [0, 5, -5 * BOXES[1, 1]]]
    expected = crop.warp(IMAGE, matrix, crop.template(template)[1])
    assert np.abs(face(tmp_path / "out/ann/1.png").astype(int) - expected).max() <= 1
    assert listed(tmp_path) == [f"{tmp_path}/out/ann/1.png 30 20 50 44"]


def test_all_faces_are_numbered_and_not_done_again(tmp_path, stub):
    files = {"ann/1.png": encode(IMAGE), "ann/2.png": encode(picture(80, 60))}
    recipe, faces, _ = align(tmp_path, files, multiple=True)
    assert faces == 3
    assert results(tmp_path) == ["ann/1_0.png", "ann/1_1.png", "ann/2_0.png"]
    assert align(tmp_path, {}, multiple=True)[1] == 0
    assert stub(recipe, tmp_path / "out") == 2


def test_a_second_run_does_what_is_missing(tmp_path, stub):
    files = {f"ann/{number}.png": encode(IMAGE) for number in range(5)}
    recipe, faces, _ = align(tmp_path, files)
    (tmp_path / "out/ann/3.png").unlink()
    assert align(tmp_path, {"bob/6.png": encode(IMAGE)})[1] == 2
    assert faces == 5
    assert stub(recipe, tmp_path / "out") == 7
    assert len(results(tmp_path)) == 6


@pytest.mark.parametrize("multiple", [False, True])
def test_stopped_in_the_middle(tmp_path, monkeypatch, multiple):
    """What is there is whole, and the next run leads to the same files as one that was not stopped."""
    files = {f"ann/{number}.png": encode(IMAGE) for number in range(7)}
    options = {"multiple": multiple, "batch_size": 2}
    written, real = [], folder.atomic_write

    def stop(path):
        if len(written) == 5:
            raise OSError("stopped")
        written.append(path)
        return real(path)

    monkeypatch.setattr(folder, "atomic_write", stop)
    with pytest.raises(OSError, match="stopped"):
        align(tmp_path, files, **options)
    monkeypatch.setattr(folder, "atomic_write", real)
    assert 0 < len(results(tmp_path)) < 7 + 7 * multiple
    align(tmp_path, {}, **options)
    align(tmp_path / "other", files, **options)
    assert results(tmp_path) == results(tmp_path / "other")
    for path in results(tmp_path):
        assert (tmp_path / "out" / path).read_bytes() == (tmp_path / "other/out" / path).read_bytes()
    assert not list(tmp_path.rglob(".tmp-*"))


BAD = {
    "bad/empty.png": (b"", "empty file"),
    "bad/text.jpg": (b"hello, world",
                     "not a JPEG, PNG, BMP, GIF, WebP, TIFF, PGM or PPM image (starts with b'hello, w')"),
    "bad/cut.jpg": (JPEG[:300], "truncated or corrupt JPEG"),
    "bad/huge.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (100_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0",
                     "image of 100000x100000 pixels, more than 100,000,000"),
    "bad/tiny.png": (encode(picture(7, 5)), "no face found"),
    "bad/wall.png": (encode(picture(90, 90)), "no face found"),
}


def test_bad_images_are_named_and_the_others_done(tmp_path):
    files = {name: content for name, (content, _) in BAD.items()}
    _, faces, bad = align(tmp_path, {**files, "good/1.png": encode(IMAGE)})
    assert faces == 1
    assert bad == {name: reason for name, (_, reason) in BAD.items()}
    assert results(tmp_path) == ["good/1.png"]
    assert listed(tmp_path) == [f"{tmp_path}/out/{name}" for name in ("bad/tiny.png", "bad/wall.png")] + [
        f"{tmp_path}/out/good/1.png 8 0 72 60"]


def test_a_file_that_cannot_be_read(tmp_path):
    write(tmp_path / "in", {"ann/1.png": encode(IMAGE)})
    os.symlink(tmp_path / "gone", tmp_path / "in/ann/broken.jpg")
    _, faces, bad = align(tmp_path, {})
    assert (faces, bad) == (1, {"ann/broken.jpg": "cannot be read: No such file or directory"})


@pytest.mark.parametrize(("content", "expected"), [
    (encode(IMAGE, "PNG", "L"), np.repeat(np.asarray(cv2.cvtColor(IMAGE, cv2.COLOR_RGB2GRAY))[..., None], 3, axis=2)),
    (encode(IMAGE, "PNG", "RGBA"), IMAGE),
    (with_exif(encode(np.rot90(IMAGE), "JPEG", quality=95), exif(6)), IMAGE),
], ids=["grey", "RGBA", "EXIF"])
def test_pictures_of_other_kinds(tmp_path, content, expected):
    align(tmp_path, {"ann/1.jpg": content}, image_size=30, margin=0)
    difference = face(tmp_path / "out/ann/1.png") - crop.margin_crop(expected, BOXES[1], 0, 30)[0].astype(float)
    assert np.abs(difference).mean() < 2


def test_names_of_any_bytes(tmp_path):
    names = [os.fsdecode(b"caf\xe9"), "new\nline", "två"]
    align(tmp_path, {f"{name}/{name}.png": encode(IMAGE) for name in names})
    assert results(tmp_path) == sorted(f"{name}/{name}.png" for name in names)
    [boxes] = (tmp_path / "out").glob("bounding_boxes_*.txt")
    lines = boxes.read_bytes().splitlines()
    assert len(lines) == 3
    assert sum(b"new\\nline/new\\nline.png 8 0 72 60" in line for line in lines) == 1


def test_images_of_one_name(tmp_path):
    align(tmp_path, {"ann/1.jpg": JPEG, "ann/1.png": encode(IMAGE), "ann/2.jpg": JPEG, "ann/2.jpg.png": JPEG})
    assert results(tmp_path) == ["ann/1.jpg.png", "ann/1.png.png", "ann/2.jpg.png.png", "ann/2.png"]
    assert align(tmp_path, {})[1] == 0


def test_an_image_that_comes_later_is_not_taken_for_the_one_of_its_name(tmp_path):
    align(tmp_path, {"ann/1.jpg": JPEG})
    assert align(tmp_path, {"ann/1.bmp": encode(picture(80, 60), "BMP")}, image_size=32)[1] == 2
    assert results(tmp_path) == ["ann/1.bmp.png", "ann/1.jpg.png", "ann/1.png"]


def test_the_folder_notes_how_its_faces_are_cut(tmp_path):
    Recipe(template="112x96").note(tmp_path / "one")
    Recipe(template="112x96", batch_size=1).note(tmp_path / "one")
    Recipe(image_size=160, margin=32).note(tmp_path / "two")
    with pytest.raises(ValueError, match="one' has faces of template 112x96; these would be of image_size 182, margin"):
        Recipe().note(tmp_path / "one")
    assert noted_template([tmp_path / "one"]) == "112x96"
    assert noted_template([tmp_path / "one", tmp_path / "two"]) == noted_template(["drawn:people=2"]) == ""


def test_a_window_is_a_part_of_the_face():
    whole, part = (Recipe(template="112x112", window=window).cut(IMAGE, Stub._faces(2))[0][0]
                   for window in (None, (8, 4, 96, 80)))
    np.testing.assert_array_equal(part, whole[8:104, 4:84])


def test_links_in_circles(tmp_path):
    source = write(tmp_path / "in", {"ann/1.png": encode(IMAGE)})
    os.symlink(source, source / "ann/loop")
    assert align(tmp_path, {})[1] == 1


def test_large_pictures_are_decoded_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(few_at_once, "_PIXELS", 2 * IMAGE[..., 0].size)
    sizes, real = [], Stub.__call__
    monkeypatch.setattr(Stub, "__call__", lambda self, images: sizes.append(len(images)) or real(self, images))
    assert align(tmp_path, {f"ann/{number}.png": encode(IMAGE) for number in range(5)})[1] == 5
    assert sizes == [2, 2, 1]


def test_progress_counts_images(tmp_path):
    write(tmp_path / "in", {f"ann/{number}.png": encode(IMAGE) for number in range(5)})
    target, done = tmp_path / "out", []
    folder.run(folder.plan(tmp_path / "in", target), Recipe(batch_size=2), target, progress=done.append)
    assert done == [2, 4, 5]


@pytest.mark.parametrize(("target", "is_inside"), [
    ("E:\\out", False), ("D:\\out", False), ("D:\\in2", False), ("D:\\in\\out", True), ("d:\\IN", True)])
def test_folders_on_drives_of_windows(monkeypatch, target, is_inside):
    """On POSIX systems `ntpath.realpath` only makes a path absolute."""
    monkeypatch.setattr(os, "path", ntpath)
    monkeypatch.setattr(folder, "Path", PureWindowsPath)
    faces = Faces(np.array(["D:\\in\\Ann\\1.jpg"], object), np.array([0]), ["Ann"])
    monkeypatch.setattr(folder, "read_folder", lambda _: faces)
    if is_inside:
        with pytest.raises(ValueError, match="lies inside the input"):
            folder.plan("D:\\in", target)
    else:
        assert folder.plan("D:\\in", target) == [("D:\\in\\Ann\\1.jpg", f"{target}\\Ann\\1")]


def test_folders_that_cannot_be(tmp_path):
    source = write(tmp_path / "in", {"ann/1.png": encode(IMAGE)})
    write(tmp_path, {"flat/1.png": encode(IMAGE), "bare/ann/x.txt": b"x", "file": b"x"})
    for target in (source, source / "faces", tmp_path / "in" / ".." / "in" / "x"):
        with pytest.raises(ValueError, match="lies inside the input .* name a folder beside it"):
            folder.plan(str(source), str(target))
    os.symlink(source, tmp_path / "link")
    with pytest.raises(ValueError, match="lies inside the input"):
        folder.plan(str(source), str(tmp_path / "link" / "faces"))
    with pytest.raises(NotADirectoryError, match="file' is a file; expected a folder for the faces"):
        folder.plan(str(source), str(tmp_path / "file"))
    for name, message in (("gone", "no folder"), ("flat", "has no sub-folders"), ("bare", "no image in any")):
        with pytest.raises((OSError, ValueError), match=message):
            folder.plan(str(tmp_path / name), str(tmp_path / "out"))


def test_a_process_that_is_killed(tmp_path):
    write(tmp_path / "in", {"ann/1.png": encode(IMAGE)})
    work = folder.plan(tmp_path / "in", tmp_path / "out")
    with pytest.raises(OSError, match="one of 2 processes ended, perhaps for lack of memory; run again with fewer"):
        folder.run(work, Recipe(), tmp_path / "out", workers=2, set_up=functools.partial(os._exit, 3))


def test_a_full_disk_is_no_bad_image(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "atomic_write", full)
    with pytest.raises(OSError, match="No space left"):
        align(tmp_path, {"ann/1.png": encode(IMAGE)})
    assert listed(tmp_path) == [f"{tmp_path}/out/ann/1.png 8 0 72 60"]  # before the face, with which it counts as done


@pytest.mark.slow
def test_real_faces_are_told_apart_after_alignment(tmp_path, monkeypatch, shared):
    """A network that other people trained on the older template, on every tenth of 300 pairs of LFW."""
    pytest.importorskip("mtcnn")
    monkeypatch.setattr(detect, "Detector", Detector)
    photographs = shared / "data" / "lfw_funneled_300"
    pairs = read_pairs(shared / "data" / "lfw_protocol" / "pairs_300.txt", photographs)
    files, same = pairs.images.reshape(-1, 2)[::10].ravel(), pairs.same[::10]
    results = [str(tmp_path / os.path.splitext(os.path.relpath(file, photographs))[0]) for file in files]
    work = sorted(set(zip(files, results, strict=True)))
    assert folder.run(work, Recipe(template="112x96"), tmp_path) == (len(work), [])
    model = convert(shared / "weights" / "mobilefacenet_casia" / "068.ckpt").model
    faces = np.stack([face(f"{result}.png") for result in results]).astype(np.float32)
    embeddings = model.predict(faces, batch_size=50, verbose=0)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    distances = ((embeddings[::2] - embeddings[1::2]) ** 2).sum(axis=1)
    assert max(((distances < threshold) == same).mean() for threshold in np.arange(0, 4, 0.01)) >= 0.98
