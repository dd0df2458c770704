"""Record files: how long a million records take to open, and how fast they feed the training.

    python benchmarks/records.py [--records 1000000] [--size 2000]

The first table writes a file of that many records, opens it in a process of its own with and without its index, and
says what the process needed; "NumPy alone" is a process that imports NumPy and OpenCV. The second compares batches for
the training, cropped and flipped, with bare `tf.io.decode_jpeg` of images in memory (see input_pipeline.py): drawn
faces of 112 pixels, read at random from a record file and from a folder.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

OPEN = """
import resource, sys, time
import numpy, tf_facenet.data
start, used = time.perf_counter(), time.process_time()
count = len(tf_facenet.data.load(sys.argv[1])) if len(sys.argv) > 1 else 0
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(time.perf_counter() - start, time.process_time() - used, peak)
"""


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        opening(pathlib.Path(folder), options)
    with tempfile.TemporaryDirectory() as folder:
        training(pathlib.Path(folder), options)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=2000, help="bytes of an image in the first table")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


def opening(folder, options):
    from tf_facenet.data.recordio import RecordWriter

    image = b"\xff\xd8\xff" + bytes(options.size - 3)
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key in range(1, options.records + 1):
            writer.write(key, key // 50, image)
        writer.write(0, (options.records + 1, options.records + 1), id2=1)
    size = (folder / "train.rec").stat().st_size
    print(f"{options.records:,} records, {size / 1e6:,.0f} MB\n{'':20}{'seconds':>10}{'processor':>10}{'peak MB':>10}")
    print_row("NumPy alone")
    print_row("with the index", folder)
    (folder / "train.idx").unlink()
    print_row("without", folder)


def print_row(name, *arguments):
    results = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", OPEN, *map(str, arguments)], capture_output=True, text=True,
                              check=True)
        results.append([float(value) for value in done.stdout.split()])
    seconds, used, peak = min(results)
    print(f"{name:20}{seconds:10.2f}{used:10.2f}{peak:10.0f}")


def training(folder, options):
    from input_pipeline import in_turn, report

    results = in_turn(contenders(folder, options.threads), options.rounds)
    print(f"\n{options.threads} threads, {options.rounds} rounds")
    report(results)


def rows(bench):
    """Rows of the common table."""
    from input_pipeline import BARE, compared, in_turn

    with tempfile.TemporaryDirectory() as folder:
        found = contenders(pathlib.Path(folder), bench.threads)
        kept = {BARE: found[BARE], "record file, 112, crop and flip": found["record file"]}
        yield from compared(in_turn(kept, bench.rounds))


def contenders(folder, threads):
    """Name → function that handles images and returns what `input_pipeline.measure` says."""
    import tensorflow as tf
    from input_pipeline import BARE, BATCH, drawn, stretch

    from tf_facenet import data
    from tf_facenet.data import packing
    from tf_facenet.data.augment import Augmentation
    from tf_facenet.data.batches import training_batches
    from tf_facenet.data.samples import read

    packing.pack(drawn(folder), folder / ".packed", quiet=True)
    sets = {"record file": data.load(folder / ".packed"), "folder": data.load(folder)}
    contents = tf.constant([read(sample) for sample in sets["folder"].samples])
    decoded = tf.data.Dataset.from_tensor_slices(contents).repeat().map(
        tf.io.decode_jpeg, num_parallel_calls=threads)
    found = {"bare": stretch(decoded.prefetch(BATCH), 1),
             BARE: stretch(decoded.batch(BATCH).prefetch(2), BATCH)}
    for name, faces in sets.items():
        found[name] = stretch(training_batches(faces, BATCH, 112, Augmentation(random_crop=True, random_flip=True), 1,
                                               num_threads=threads), BATCH)
    return found


if __name__ == "__main__":
    main()
