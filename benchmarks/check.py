"""How fast a set is read and measured, and what memory it takes.

    python benchmarks/check.py --images 30000

Drawn faces in files; the larger set names each file several times.
"""

import argparse
import itertools
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from tf_facenet.data import check, drawn, survey
from tf_facenet.data.faces import Faces

FILES = 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=30_000, help="of the larger set")
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        faces = write(Path(folder))
        many = Faces(np.resize(faces.samples, count), np.resize(faces.labels, count), faces.names)
        print(f"{'':34}{'images/s':>10}{'CPU ms/image':>14}{'peak MB':>9}")
        for function, data in itertools.product((check.readable, survey.survey), (faces, many)):
            wall, cpu = time.perf_counter(), time.process_time()
            function(data)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            what = f"{function.__name__}, {len(data):,} images"
            print(f"{what:34}{len(data) / wall:10.0f}{1e3 * cpu / len(data):14.2f}{peak:9.0f}")


def write(folder):
    faces = drawn.draw(people=50, images=20)
    paths = np.empty(FILES, object)
    for number, sample in enumerate(faces.samples):
        paths[number] = str(folder / f"{number}.jpg")
        Path(paths[number]).write_bytes(sample)
    return Faces(paths, faces.labels, faces.names)


if __name__ == "__main__":
    main()
