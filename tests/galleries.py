"""Processes that write and read one gallery at the same time, and what they must find.

    python -m tests.galleries write FOLDER NUMBER COUNT     # COUNT people, one after the other
    python -m tests.galleries read FOLDER                   # again and again until the file FOLDER.done is there
"""

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np

from tf_facenet.inference.gallery import Gallery

WIDTH, EACH = 8, 3  # numbers of an embedding, faces of a person


def face(name):
    """The embedding that belongs to a name, as a row of norm 1."""
    row = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(WIDTH)
    return (row / np.linalg.norm(row)).astype(np.float32)


def people(number, count):
    """The people of a writer: for each the names of his faces."""
    return [[f"{number}-{person}-{one}" for one in range(EACH)] for person in range(count)]


def write(folder, number, count):
    for names in people(int(number), int(count)):
        Gallery.add(folder, np.stack(list(map(face, names))), names, "model")


def read(folder):
    """Count the galleries that were read; ends with an error if a face has another's name."""
    loads = 0
    while not Path(f"{folder}.done").exists():
        gallery = Gallery.load(folder)
        np.testing.assert_array_equal(gallery.rows, np.stack(list(map(face, gallery.names))))
        loads += 1
    sys.stdout.write(str(loads))


def check(folder, writers, readers, count):
    """Let them run and check that nobody is lost; returns how often the gallery was read."""
    Gallery(face("first")[None], ["first"], "model").save(folder)

    def start(*arguments):
        return subprocess.Popen([sys.executable, "-m", "tests.galleries", *map(str, arguments)], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    reading = [start("read", folder) for _ in range(readers)]
    writing = [start("write", folder, number, count) for number in range(writers)]
    ends = [process.communicate() for process in writing]
    Path(f"{folder}.done").touch()
    ends += [process.communicate() for process in reading]
    assert [error for _, error in ends] == [""] * (writers + readers)
    expected = {name for number in range(writers) for names in people(number, count) for name in names}
    names = Gallery.load(folder).names
    assert (set(names), len(names)) == (expected | {"first"}, len(expected) + 1)
    return sum(int(output) for output, _ in ends[writers:])


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
