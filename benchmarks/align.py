"""Photographs per second of the detector, beside the `mtcnn` package called image by image and with lists.

    python benchmarks/align.py equal:<folder of people, as LFW funneled> mixed:<folder with photographs of all sizes>

Both find faces with the same networks and thresholds. The contenders take turns; rates are the best of all rounds, and
behind each ratio of best rates stands the median of the ratios within the rounds. The last columns say how many boxes
both find, and the smallest overlap of two that belong together.
"""

import argparse
import pathlib
import statistics
import time

import mtcnn
import numpy as np
import table

from tf_facenet.align import boxes as box
from tf_facenet.align.detect import Detector
from tf_facenet.data import drawn
from tf_facenet.data.images import decode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", help="NAME:FOLDER")
    parser.add_argument("--images", type=int, default=64, help="at most so many of each set")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{'':28}{'images':>8}{'images/s':>10}{'ratio':>14}{'boxes':>10}{'overlap':>9}")
    for name, _, folder in (text.partition(":") for text in options.sets):
        files = sorted(pathlib.Path(folder).expanduser().rglob("*.jpg"))
        images = [decode(file.read_bytes()).numpy() for file in files[:: max(len(files) // options.images, 1)]]
        measure(name, images[: options.images], contenders(), options.rounds)


def contenders():
    """Name → function that finds the faces of images."""
    package = mtcnn.MTCNN()
    return {
        "tf_facenet": Detector(),
        "mtcnn, one by one": lambda images: [call(package, image) for image in images],
        "mtcnn, lists of 16": lambda images: [call(package, images[at : at + 16]) for at in range(0, len(images), 16)],
    }


def rows(bench):
    """Rows of the common table: pictures as large as LFW's."""
    count, (name, work), (peer, theirs) = 8 if bench.quick else 32, *list(contenders().items())[:2]
    results = in_turn(list(drawn.draw_images(range(count), [0] * count, 250)), {name: work, peer: theirs}, bench.rounds)
    own, other = (max(rate for rate, _ in result) for result in results.values())
    yield table.Row("find faces, 250x250", "images/s", own, peer, other)


def in_turn(images, contenders, rounds):
    """Name → (images a second, what was found) of each round."""
    results = {name: [] for name in contenders}
    for number in range(rounds + 1):  # the first is for warming up, with a few images
        for name, work in contenders.items():
            some = images if number else images[:16]
            start = time.perf_counter()
            found = work(some)
            results[name].append((len(some) / (time.perf_counter() - start), found))
    return {name: result[1:] for name, result in results.items()}


def call(package, image):
    pixels = [one.astype(np.float32) for one in image] if isinstance(image, list) else image.astype(np.float32)
    return package.detect_faces(pixels, output_type="numpy", box_format="xyxy", fit_to_image=False)


def measure(name, images, rows, rounds):
    results = in_turn(images, rows, rounds)
    rates = {row: [rate for rate, _ in result] for row, result in results.items()}
    ours, theirs = results["tf_facenet"][-1][1], results["mtcnn, one by one"][-1][1]
    for row, own in rates.items():
        ratios = [mine / other for mine, other in zip(rates["tf_facenet"], own, strict=True)]
        ratio = f"{max(rates['tf_facenet']) / max(own):.2f} ({statistics.median(ratios):.2f})"
        print(f"{name + ', ' + row:28}{len(images):8}{max(own):10.1f}{ratio:>14}", end="")
        print("{:>10}{:9.3f}".format(*agreement(ours, theirs)) if row == "mtcnn, one by one" else "")


def agreement(ours, theirs):
    """How many boxes each finds, and the smallest overlap of any box with the other side's nearest."""
    smallest = 1.0
    for mine, other in zip(ours, theirs, strict=True):
        if len(mine) and len(other):
            shared = box.overlaps(mine.boxes, other[:, 1:5])
            smallest = min(smallest, shared.max(axis=0).min(), shared.max(axis=1).min())
    return f"{sum(map(len, ours))}/{sum(map(len, theirs))}", smallest


if __name__ == "__main__":
    main()
