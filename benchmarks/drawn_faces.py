"""Drawn faces a second on one core, and what share of the time each step takes.

    python benchmarks/drawn_faces.py

All rows take turns in one process, `--rounds` times; a row's time is that of its best round, which
other programs disturb least. The whole with JPEG is what `--data_dir drawn` costs.
"""

import argparse
import time

import cv2
import numpy as np

from tf_facenet.data import drawn, drawn_camera, drawn_features, drawn_traits


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--images", type=int, default=300, help="images of a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rows = contenders(options.images, options.size)
    best = dict.fromkeys(rows, float("inf"))
    for _ in range(options.rounds):
        for name, work in rows.items():
            start = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - start)
    whole = best["picture and JPEG"]
    print(f"{options.size} x {options.size} pixels, one core, best of {options.rounds} rounds of "
          f"{options.images} images")
    for name, seconds in best.items():
        print(f"{name:28} {options.images / seconds:8.0f} images/s {seconds / whole:6.0%}")


def contenders(count, size):
    """Name of a step → function that does it for `count` pictures."""
    people = range(count)
    traits = [(drawn_traits.person_traits(0, k), drawn_traits.picture_traits(0, k, 0))
              for k in people]
    places, colors = np.full(40, 0.5), [(200.0, 90.0, 40.0)] * 3
    images = drawn.draw_images(people, [0] * count, size)
    noise = np.zeros(images[0].size, np.int8)
    return {
        "picture and JPEG": lambda: drawn.draw(count, 1, size),
        "picture": lambda: drawn.draw_images(people, [0] * count, size),
        "  traits": lambda: [(drawn_traits.person_traits(0, k),
                              drawn_traits.picture_traits(0, k, 0)) for k in people],
        "  shapes": lambda: [drawn_features.face(*pair, places, colors) for pair in traits],
        "  light, lens, noise": lambda: [drawn_camera.develop(image, shot, noise)
                                         for image, (_, shot) in zip(images, traits, strict=True)],
    }


if __name__ == "__main__":
    main()
