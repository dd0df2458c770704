"""Templates of IJB's form: seconds and memory of each step, beside the way of insightface's eval_ijbc.py.

    python benchmarks/templates.py [--images 469375 --templates 23124 --pairs 15658489]

The peer's way is a loop over templates and media for the pooling, all rows of the pairs at once for the cosines, and
scikit-learn's ROC.
The figures above are IJB-C's. Memory is what NumPy had reserved at most beside the step's arguments.
"""

import argparse
import time
import tracemalloc

import numpy as np
from sklearn.metrics import roc_curve

from tf_facenet.evaluation import templates


def main():
    options = parse()
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(options.templates, 128)).astype(np.float32)
    names = np.sort(rng.integers(0, options.templates, options.images))
    names[: options.templates] = np.arange(options.templates)
    media = rng.integers(0, 5, options.images)
    features = centres[names] + 4 * rng.normal(size=(options.images, 128)).astype(np.float32)
    pairs = rng.integers(0, options.templates, (options.pairs, 2), dtype=np.int32)
    pairs[:: options.pairs // 20000, 1] = pairs[:: options.pairs // 20000, 0] // 2 * 2
    same = pairs[:, 0] // 2 == pairs[:, 1] // 2

    own = measure("pool", lambda: templates.pool(features, names, media))
    peer = measure("  loop", lambda: loop(features, names, media))
    print("  largest difference", np.abs(own[1] - peer).max())
    cosines = measure("similarities", lambda: templates.similarities(*own, pairs))
    measure("  gathered", lambda: np.sum(own[1][pairs[:, 0]] * own[1][pairs[:, 1]], -1))
    tars = measure("rates", lambda: templates.rates(cosines, same))[0]
    fpr, tpr, _ = measure("  roc_curve", lambda: roc_curve(same, cosines))
    nearest = [tpr[::-1][np.argmin(np.abs(fpr[::-1] - far))] for far in templates.FARS]
    print("TAR", np.round(tars, 5), "peer", np.round(nearest, 5))


def loop(features, names, media):
    """Template after template, medium after medium."""
    pooled = np.zeros((names.max() + 1, features.shape[1]), np.float32)
    for template in range(len(pooled)):
        rows = np.flatnonzero(names == template)
        for medium in np.unique(media[rows]):
            pooled[template] += features[rows[media[rows] == medium]].mean(0)
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60000)
    parser.add_argument("--templates", type=int, default=6000)
    parser.add_argument("--pairs", type=int, default=2_000_000)
    return parser.parse_args()


def measure(name, work):
    tracemalloc.start()
    begin = time.process_time()
    result = work()
    seconds, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{name:14} {seconds:8.2f} s of processor {peak / 1e6:8.0f} MB")
    return result


if __name__ == "__main__":
    main()
