"""Damaged record files at random, and what must hold of each: read well or refused in a sentence that names the file.

The suite has a few, benchmarks/fuzz_records.py any number.
"""

import random
import shutil
import struct
import tracemalloc

from tests.pictures import encode, picture
from tf_facenet import files
from tf_facenet.data import headers, inspection, load, packing, records
from tf_facenet.data.recordio import MAGIC, RecordWriter
from tf_facenet.data.samples import read

TIMES, BESIDES = 20, 300_000  # bytes of memory for a byte of the files, and for small ones
NUMBERS = [struct.pack("<I", number) for number in (
    0, 1, 2, 3, 24, 28, 1 << 29, 1 << 30, 3 << 29, (1 << 29) - 1, 0x7FFFFFFF, 0xFFFFFFFF)]
NUMBERS += [struct.pack("<f", number) for number in (float("nan"), float("inf"), 1e9, -1.0, 0.5, 2.0**24)] + [MAGIC]
WORDS = ["-1", "0", "1", "4", "99999999999999999999", "9223372036854775807", "1e9", "x", "\t", "\n", "\0", "\udce9",
         ",", "../x", "/x", "\\", "\\n", "#"]
COMPANIONS = ("train.idx", "train.idx", "names.txt", "property", "train.lst")


def write_set(folder):
    """A set with every kind of record: images, a header, people, a vector of labels, one in several parts."""
    images = [encode(picture(6, 5, seed), kind) for seed, kind in enumerate(("PNG", "JPEG", "GIF", "BMP"))]
    images[3] += bytes(-len(images[3]) % 4) + MAGIC + b"behind" + MAGIC * 2
    with RecordWriter(folder / records.NAME, folder / "train.idx") as writer:
        for key, image in enumerate(images, 1):
            writer.write(key, (key // 3, 7) if key == 2 else key // 3, image)
        writer.write(5, (1, 3))
        writer.write(6, (3, 5))
        writer.write(0, (5, 7), id2=1)
    (folder / "names.txt").write_text("first\nsecond\n")
    (folder / "property").write_text("2,6,5\n")
    (folder / "train.lst").write_text("".join(f"{key}\t0\tp{key // 3}/{key}.png\n" for key in range(1, 5)))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def mutate(contents, rng):
    """{name: bytes} with some damage; a companion may be missing."""
    contents = dict(contents)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        name = records.NAME if rng.random() < 0.6 else rng.choice(COMPANIONS)
        if name not in contents:
            continue
        if name != records.NAME and rng.random() < 0.15:
            del contents[name]
        else:
            contents[name] = rng.choice(DAMAGES)(contents[name], rng, name == records.NAME)
    return contents


def _overwrite(data, rng, is_binary):
    new = rng.choice(NUMBERS) if is_binary else rng.choice(WORDS).encode(errors="surrogateescape")
    at = rng.randrange(len(data) + 1) // 4 * 4 if is_binary else rng.randrange(len(data) + 1)
    return data[:at] + new + data[at + len(new):]


def _insert(data, rng, is_binary):
    new = rng.choice(NUMBERS) if is_binary else rng.choice(WORDS).encode(errors="surrogateescape")
    at = rng.randrange(len(data) + 1)
    return data[:at] + new + data[at:]


def _flip(data, rng, _):
    at = rng.randrange(len(data) + 1)
    return data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]) + data[at + 1:]


def _cut(data, rng, _):
    return data[:rng.randrange(len(data) + 1)]


def _remove(data, rng, _):
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 4, 8, 40)):]


def _repeat(data, rng, _):
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at : at + rng.choice((4, 36, 200))] * rng.choice((1, 2, 9)) + data[at:]


DAMAGES = (_overwrite, _overwrite, _insert, _flip, _cut, _remove, _repeat)


def use(folder):
    """Load, read, inspect and unpack a set."""
    faces = load(folder)
    for sample in faces.samples:
        headers.fault(read(sample))
    found = records.read_records(str(folder / records.NAME))
    list(inspection.structure(found))
    packing.unpack(folder, folder.parent / "out", quiet=True)


def exercise(folder, contents):
    """Write and use a set; returns its refusal, "" if there is none.

    Raises:
        AssertionError: a refusal without a file, or too much memory.
        Exception: any other is a bug.
    """
    for path in folder.iterdir():
        path.unlink()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    limit = TIMES * sum(map(len, contents.values())) + BESIDES
    refusal, peak = measured(folder)
    if peak > limit:  # may be something of Python's that happens once
        refusal, peak = measured(folder)
    assert peak <= limit, peak
    assert not refusal or str(folder.parent) in refusal, refusal
    assert "\n" not in refusal, refusal
    return refusal


def measured(folder):
    """(refusal, peak of memory in bytes) of using a set."""
    shutil.rmtree(folder.parent / "out", ignore_errors=True)
    refusal, before = "", tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    try:
        use(folder)
    except (ValueError, OSError) as error:
        refusal = str(error)
    return refusal, tracemalloc.get_traced_memory()[1] - before


def run(count, seed, folder, report=None):
    """Number of refused and of accepted sets among `count` mutated ones."""
    (folder / "set").mkdir()
    contents, rng, refused = write_set(folder / "set"), random.Random(seed), 0
    files._sync, sync = (lambda path: None), files._sync  # a disk's speed is not of interest here
    tracemalloc.start()
    use(folder / "set")  # imports what is needed
    try:
        for number in range(count):
            damaged = mutate(contents, rng)
            if report:
                report(number, refused)
            try:
                refused += bool(exercise(folder / "set", damaged))
            except BaseException as error:
                raise AssertionError(f"mutation {number} of seed {seed}: {error!r}") from error
    finally:
        tracemalloc.stop()
        files._sync = sync
    return refused, count - refused
