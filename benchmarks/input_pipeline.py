"""Images per second of the training input and of the check, beside bare JPEG decoding.

    python benchmarks/input_pipeline.py [folder of people with JPEG files]

Bare is `tf.io.decode_jpeg` of the same bytes from memory in `Dataset.map`, with as many threads,
and nothing else: no files, no shuffling, no EXIF, no crop, no flip; "in batches" also copies the
images into batches. All rows take turns in one process. Rates and processor times are the best of
all rounds, since what else the machine does only ever slows them down; behind each ratio of best
rates stands the median of the ratios within the rounds.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time

import table
import tensorflow as tf

from tf_facenet import data
from tf_facenet.data import check
from tf_facenet.data.augment import Augmentation
from tf_facenet.data.batches import training_batches

BATCH = 90
BARE = "bare, in batches"
STORED, MEASURED = 12 * BATCH, 40 * BATCH  # images


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        faces = data.load(options.folder or drawn(pathlib.Path(folder)))
        faces = faces.select(slice(0, options.images))
        results = in_turn(contenders(faces, options.threads), options.rounds)
    print(f"{len(faces)} files, {options.threads} threads, {options.rounds} rounds")
    report(results)


def in_turn(contenders, rounds):
    """Name → what it gave in each round but the first, which is for warming up."""
    results = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, work in contenders.items():
            results[name].append(work())
    return {name: result[1:] for name, result in results.items()}


def rows(bench):
    """Rows of the common table."""
    with tempfile.TemporaryDirectory() as folder:
        found = contenders(data.load(drawn(pathlib.Path(folder))), bench.threads)
        kept = {name: found[name] for name in (BARE, "training, 112, crop and flip", "check.readable")}
        yield from compared(in_turn(kept, bench.rounds))


def compared(results):
    """Rows of the common table: the best rates beside those of bare decoding, which gives batches as well."""
    best = {name: max(rate for rate, _ in result) for name, result in results.items()}
    bare = best.pop(BARE)
    for name, rate in best.items():
        yield table.Row(f"input: {name}", "images/s", rate, "tf.io.decode_jpeg", bare)


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="default: drawn faces in a temporary folder")
    parser.add_argument("--images", type=int, default=4500, help="at most so many")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


def drawn(folder):
    faces = data.load("drawn:people=100,images=20,size=112")
    for row, (sample, label) in enumerate(zip(faces.samples, faces.labels, strict=True)):
        person = folder / faces.names[label]
        person.mkdir(exist_ok=True)
        (person / f"{row}.jpg").write_bytes(sample)
    return folder


def contenders(faces, threads):
    """Name → function that handles images and returns what `measure` says."""
    contents = tf.constant([pathlib.Path(sample).read_bytes() for sample in faces.samples])
    decoded = tf.data.Dataset.from_tensor_slices(contents).repeat().map(
        tf.io.decode_jpeg, num_parallel_calls=threads)

    def training(size, **augmentation):
        return stretch(training_batches(faces, BATCH, size, Augmentation(**augmentation), 1,
                                        num_threads=threads), BATCH)

    def checked():
        return measure(lambda: check.readable(faces, threads), len(faces))

    changes = {"random_crop": True, "random_flip": True}
    return {
        "bare": stretch(decoded.prefetch(BATCH), 1),
        BARE: stretch(decoded.batch(BATCH).prefetch(2), BATCH),
        "training, 112, crop and flip": training(112, **changes),
        "training, 96, crop and flip": training(96, **changes),
        "training, 112, plain": training(112),
        "check.readable": checked,
    }


def stretch(dataset, images_each):
    """Measures a stretch of an endless dataset, without its start and what it has in store."""
    def work(images):
        for _ in range(images // images_each):
            next(iterator)

    def run():
        nonlocal iterator
        iterator = iter(dataset)
        work(STORED)
        result = measure(lambda: work(MEASURED), MEASURED)
        iterator = None  # ends its threads
        return result

    iterator = None
    return run


def measure(work, images):
    """Images per second, and processor microseconds per image."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return (images / (time.perf_counter() - wall),
            1e6 * (time.process_time() - processor) / images)


def report(results):
    print(f"{'':30}{'images/s':>10}{'/ bare':>16}{'/ in batches':>16}{'processor us/image':>20}")
    best = {name: max(rate for rate, _ in result) for name, result in results.items()}
    for name, result in results.items():
        ratios = []
        for other in ("bare", BARE):
            paired = [rate / base for (rate, _), (base, _) in
                      zip(result, results[other], strict=True)]
            ratios.append(f"{best[name] / best[other]:.2f} ({statistics.median(paired):.2f})")
        print(f"{name:30}{best[name]:10.0f}{ratios[0]:>16}{ratios[1]:>16}"
              f"{min(used for _, used in result):20.1f}")


if __name__ == "__main__":
    main()
