"""Time and memory of embedding large photographs: pictures of a folder on noise of 4000×3000 pixels.

    python benchmarks/photographs.py lfw_funneled --model model.keras

Prints seconds and processor time of `photographs.embed`, and the peak of memory above what is used before.
"""

import argparse
import os
import pathlib
import resource
import time

import cv2
import numpy as np

from tf_facenet.inference import photographs
from tf_facenet.inference.embedder import Embedder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--model", required=True)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--min_face_size", type=int, default=0)
    options = parser.parse_args()
    files = sorted(pathlib.Path(options.folder).expanduser().rglob("*.jpg"))
    samples = [large(file, number) for number, file in enumerate(files[:: max(len(files) // options.images, 1)])]
    embedder = Embedder.load(options.model)
    how = photographs.recipe(embedder.metadata, min_face_size=options.min_face_size)
    before = int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    used, start = sum(os.times()[:2]), time.perf_counter()
    found = photographs.embed(embedder, samples[: options.images], how)
    seconds, used = time.perf_counter() - start, sum(os.times()[:2]) - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{len(found.rows)} faces of {options.images} photographs: {seconds:.1f} s, {used:.1f} s of processor time, "
          f"{(peak - before) / 1e6:.0f} MB")


def large(file, seed):
    """A JPEG of 12 megapixels, noise with a picture somewhere in it, 500 to 2,200 pixels wide."""
    random = np.random.default_rng(seed)
    noise = random.normal(128, 18, (750, 1000, 3)).clip(0, 255).astype(np.uint8)
    photograph = cv2.resize(noise, (4000, 3000), interpolation=cv2.INTER_CUBIC)
    side = int(random.integers(500, 2200))
    y, x = random.integers(0, 3000 - side), random.integers(0, 4000 - side)
    photograph[y : y + side, x : x + side] = cv2.resize(cv2.imread(str(file)), (side, side))
    return cv2.imencode(".jpg", photograph)[1].tobytes()


if __name__ == "__main__":
    main()
