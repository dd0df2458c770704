"""insightface's verification sets: as Python 2 and 3 and NumPy write them, damaged, hostile and large."""

import os
import pickle
import re
import struct
import tracemalloc

import cv2
import numpy as np
import pytest
import tensorflow as tf

from tf_facenet.cli import run_command
from tf_facenet.data import bins
from tf_facenet.data.pairs import Pairs, load_pairs, load_sets
from tf_facenet.evaluation import verification
from tf_facenet.inference.embedder import Embedder


def image(number):
    pixels = np.random.default_rng(number).integers(0, 255, (12, 10, 3), np.uint8)
    return cv2.imencode((".jpg", ".png")[number % 2], pixels)[1].tobytes()


IMAGES = [image(number) for number in range(8)]
SAME = [True, True, False, False]


def python2(images, same, numpy=False):
    """What Python 2 writes with protocol 2: strings, and arrays of NumPy 1 if asked for."""
    out = [b"\x80\x02]q\x01("]
    for at, content in enumerate(images):
        string = b"T" + struct.pack("<i", len(content)) + content
        if numpy and at == 0:
            string = (b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04"
                      b"(K\x01M" + struct.pack("<H", len(content)) + b"\x85cnumpy\ndtype\nq\x05"
                      b"U\x02u1K\x00K\x01\x87Rq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
                      + string + b"tb")
        elif numpy:
            string = (b"h\x02h\x03K\x00\x85U\x01b\x87R(K\x01M" + struct.pack("<H", len(content))
                      + b"\x85h\x06\x89" + string + b"tb")
        out.append(string)
    answers = b"".join(b"\x88" if answer else b"\x89" for answer in same)
    return b"".join(out) + b"e]q\x07(" + answers + b"e\x86q\x08."


def write(tmp_path, data):
    (tmp_path / "faces.bin").write_bytes(data)
    return tmp_path / "faces.bin"


def check(path):
    pairs = bins.read_bin(path, num_folds=3)
    assert pairs.images.tolist() == IMAGES
    assert pairs.same.tolist() == SAME
    assert pairs.folds.tolist() == [0, 0, 1, 2]  # scikit-learn's KFold(3) of 4
    assert (pairs.name, pairs.missing) == ("faces", [])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("images", [IMAGES, tuple(IMAGES), [np.frombuffer(data, np.uint8) for data in IMAGES],
                                    [np.frombuffer(data, np.uint8).copy()[:, None] for data in IMAGES]],
                         ids=["bytes", "tuple", "arrays", "columns"])
@pytest.mark.parametrize("same", [SAME, list(np.array(SAME)), np.array(SAME)], ids=["bools", "numpy", "array"])
def test_python_3(tmp_path, protocol, images, same):
    check(write(tmp_path, pickle.dumps((images, same), protocol)))


@pytest.mark.parametrize("numpy", [False, True])
def test_python_2(tmp_path, numpy):
    data = python2(IMAGES, SAME, numpy)
    images, same = pickle.loads(data.replace(b"numpy.core", b"numpy._core"), encoding="bytes")
    assert (b"".join(map(bytes, images)), same) == (b"".join(IMAGES), SAME)  # the fixture is a good pickle
    check(write(tmp_path, data))


def test_python_2_as_text(tmp_path):
    """Protocol 0, in which a string is a line with its quotes."""
    lines = [b"S" + repr(data)[1:].encode() + b"\na" for data in IMAGES]
    same = [b"I0%d\na" % answer for answer in SAME]
    check(write(tmp_path, b"((lp1\n" + b"".join(lines) + b"(lp2\n" + b"".join(same) + b"tp3\n."))


def test_what_is_written_is_read_by_all(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(IMAGES[1])
    images = np.array([str(file) if data == IMAGES[1] else data for data in IMAGES], object)
    path = tmp_path / "new" / "faces.bin"
    bins.write_bin(path, Pairs(images, np.array(SAME), np.zeros(4, int), []))
    check(path)
    assert pickle.loads(path.read_bytes()) == (IMAGES, SAME)  # as insightface does
    assert os.listdir(path.parent) == ["faces.bin"]


def test_only_images_are_written(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("no image")
    with pytest.raises(ValueError, match=r"a.txt' is no image: not a JPEG.*Replace it"):
        images = np.array([str(file), IMAGES[0]], object)
        bins.write_bin(tmp_path / "faces.bin", Pairs(images, np.array([True]), None, []))
    assert not (tmp_path / "faces.bin").exists()


def test_the_command_writes_a_set(tmp_path, capsys):
    for name in ("Ann", "Bob"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        for number in (1, 2):
            (tmp_path / "faces" / name / f"{name}_000{number}.png").write_bytes(IMAGES[number])
    (tmp_path / "some.txt").write_text("3 1\nAnn 1 2\nAnn 1 Bob 2\nBob 2 1\nAnn 2 Bob 2\nAnn 1 9\nAnn 9 Bob 1\n")
    out = str(tmp_path / "faces.bin")
    arguments = ["records", "bin", str(tmp_path / "faces"), out, "--lfw_pairs", str(tmp_path / "some.txt"), "--quiet"]
    assert run_command(arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"4 pairs: {out}", "Skipped 2 of 6 image pairs, for these images are missing: Ann/Ann_0009"]
    pairs = bins.read_bin(out)
    assert pairs.images.tolist() == [IMAGES[number] for number in (1, 2, 1, 2, 2, 1, 2, 2)]
    assert pairs.same.tolist() == [True, False, True, False]


def test_the_command_refuses_images_that_cannot_be_decoded(tmp_path):
    for name, content in (("Ann/Ann_0001", IMAGES[0]), ("Ann/Ann_0002", IMAGES[2][:-60]), ("Ann/Ann_0003", b"text"),
                          ("Bo/Bo_0001", IMAGES[1])):
        path = tmp_path / "faces" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "pairs.txt").write_text("Ann 1 2\nAnn 2 1\nAnn 1 3\nAnn 1 Bo 1\n")
    with pytest.raises(ValueError, match=r"^2 unreadable files, the first: .*faces/Ann/Ann_0002\.jpg \(truncated or "
                                         r"corrupt JPEG\)\. Replace them, or take their pairs out of the pairs file$"):
        run_command(["records", "bin", str(tmp_path / "faces"), str(tmp_path / "faces.bin"), "--quiet"])
    assert not (tmp_path / "faces.bin").exists()


def test_images_that_do_not_decode_are_named_by_set_and_number(tmp_path):
    damaged = IMAGES[3][:-40]
    path = write(tmp_path, pickle.dumps(([*IMAGES[:3], damaged, *IMAGES[:2], damaged, IMAGES[2]], SAME)))
    embedder = Embedder(lambda images: tf.cast(images[:, 0, 0], tf.float32), {"image_size": (12, 10)})
    message = (r"Verification set faces: Images that cannot be read: \(image 3 in memory\) \(truncated or corrupt "
               r"\w+\)\. Replace")
    with pytest.raises(OSError, match=message):
        verification.verify(embedder, bins.read_bin(path), "none")


def test_load_pairs_takes_a_set(tmp_path):
    path = write(tmp_path, pickle.dumps((IMAGES, SAME)))
    assert load_pairs(str(path), "pairs.txt", 2).folds.tolist() == [0, 0, 1, 1]
    with pytest.raises(OSError, match=r"none.bin"):
        load_pairs(str(tmp_path / "none.bin"), "pairs.txt")


def test_sets_by_path_and_by_name(tmp_path):
    data = pickle.dumps((IMAGES, SAME))
    (tmp_path / "train").mkdir()
    for place in ("a.bin", "train/b.bin", "my set.bin", "val.bin"):
        (tmp_path / place).write_bytes(data)
    path, where = str(tmp_path / "my set.bin"), str(tmp_path / "train")
    sets = load_sets("drawn:people=8,images=3,size=32", "", f"a, b,{path}", where, 2)
    assert [pairs.name for pairs in sets] == ["lfw", "a", "b", "my set"]
    assert [pairs.name for pairs in load_sets("", "", "b.bin", where)] == ["b"]
    assert load_sets("", "", "", where) == []
    with pytest.raises(OSError, match=r"looked for 'c.bin', '.*/train/c.bin', '.*/c.bin'"):
        load_sets("", "", "c", where)
    for targets, name in (("a,a", "a"), ("val", "val")):
        with pytest.raises(ValueError, match=f"verification sets .*: the name '{name}' is taken"):
            load_sets("", "", targets, where)


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def array(values):
    return pickle.dumps(([np.asarray(values)] * 2, [True]))


@pytest.mark.parametrize(("data", "message"), [
    (b"", "the pickle is empty (byte 0)"),
    (python2(IMAGES, SAME)[:-9], "the pickle ends before its end is said: is the file whole? (byte "),
    (python2(IMAGES, SAME)[:300], "the pickle is damaged or not whole: expected "),
    (pickle.dumps(Bomb()), f"the pickle refuses {os.name}.system; the globals allowed are numpy.ndarray"),
    (pickle.dumps(([Bomb()], SAME)), f"the pickle refuses {os.name}.system"),
    (b"(" + b"]" * 10**5, "the pickle would take more memory than 18 times its length (byte "),
    (pickle.dumps(5), "holds no pair of images and answers"),
    (pickle.dumps((IMAGES, SAME, SAME)), "holds no pair of images and answers"),
    (pickle.dumps((IMAGES[0], SAME)), "holds a bytes and a list; expected a list of images and a list of answers"),
    (pickle.dumps((IMAGES, SAME[1:])), "holds 8 images and 3 answers; expected two images for each answer"),
    (pickle.dumps(([], [])), "holds 0 images and 0 answers"),
    (pickle.dumps((IMAGES, [1, 1, 0, 0])), "answer 0 is a value of type int; expected true or false"),
    (pickle.dumps((IMAGES, [True, True, None, True])), "answer 2 is a value of type NoneType"),
    (pickle.dumps((IMAGES, [np.uint8(1)] * 4)), "the pickle gives numpy.core.multiarray.scalar what it does not "
     "take: a number where true or false was expected (byte "),
    (pickle.dumps((IMAGES, np.ones(4, np.uint8))), "an array of u1 instead of b1"),
    (pickle.dumps(([*IMAGES[:5], b"", *IMAGES[6:]], SAME)), "image 5 is no encoded image: empty file"),
    (pickle.dumps(([*IMAGES[:7], "text"], SAME)), "image 7 is no encoded image: a value of type str"),
    (pickle.dumps(([*IMAGES[:7], b"text"], SAME)), "image 7 is no encoded image: not a JPEG, PNG"),
    (array(np.ones(3)), "image 0 is no encoded image: an array of f8 instead of u1"),
    (array(np.ones((2, 2, 3), np.uint8)), "image 0 is no encoded image: an array of 12 bytes that do not fit its"),
    (b"cnumpy\nndarray\n)R2\x86]\x88a\x86.", "image 0 is no encoded image: an array that is not complete"),
])
def test_bad_sets_are_refused_by_name(tmp_path, data, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, data)
    with pytest.raises(ValueError, match=re.escape(f"verification set '{path}': {message}")) as refusal:
        bins.read_bin(path)
    assert "Give a file such as insightface's lfw.bin" in str(refusal.value)
    assert len(str(refusal.value)) < 600
    assert os.listdir(tmp_path) == ["faces.bin"]


def test_text_is_not_encoded_again_and_again(tmp_path):
    """Ten bytes of calls that would each make a copy of a long text."""
    text = b"X" + struct.pack("<i", 10**5) + b"a" * 10**5
    calls = b"h\x01h\x00U\x06latin1\x86R0" * 2000
    path = write(tmp_path, b"\x80\x02" + text + b"q\x00c_codecs\nencode\nq\x01]" + calls.replace(b"R0", b"Rq\x02a"))
    tracemalloc.start()
    with pytest.raises(ValueError, match="more memory than 18 times its length"):
        bins.read_bin(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * path.stat().st_size + 2**18


def test_mutated_sets_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(7)
    originals = [python2(IMAGES, SAME), python2(IMAGES, SAME, True), pickle.dumps((IMAGES, SAME)),
                 pickle.dumps(([np.frombuffer(data, np.uint8) for data in IMAGES], np.array(SAME)), 2)]
    read = 0
    for turn in range(300):
        data = mutated(originals[turn % 4], rng)
        tracemalloc.start()
        try:
            bins.read_bin(write(tmp_path, data))
            read += 1
        except ValueError as error:
            message = str(error)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert message.startswith("verification set '")
        assert peak < 20 * len(data) + 2**18
    assert 20 < read < 200


def mutated(data, rng):
    """A file with bytes changed, cut out, doubled or cut off; mostly where the instructions are."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        near = rng.choice([0, *(data.find(mark) for mark in IMAGES[1:]), len(data)])
        at = int(np.clip(near + rng.integers(-40, 10), 0, len(data) - 1))
        size = rng.integers(1, 20)
        kind = rng.integers(4)
        if kind == 0:
            data[at] = rng.integers(256)
        elif kind == 1:
            del data[at : at + size]
        elif kind == 2:
            data[at:at] = data[at : at + size]
        else:
            data[at : at + size] = rng.bytes(size)
    return bytes(data[: rng.integers(len(data))]) if rng.random() < 0.1 else bytes(data)
