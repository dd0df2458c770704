"""One face among a million: the gallery's exact search beside one product with all rows.

    python benchmarks/gallery.py --rows 1000000 --width 512

The rows point into random directions, which is the hardest case; the query lies near one of them.
"""

import argparse
import time

import numpy as np

from tf_facenet.inference.gallery import Gallery


def random_rows(count, width, rng, chunk=100_000):
    """Rows of norm 1, made in place."""
    rows = np.empty((count, width), np.float32)
    for at in range(0, count, chunk):
        some = rng.standard_normal((min(chunk, count - at), width), np.float32)
        rows[at:at + chunk] = some / np.linalg.norm(some, axis=1, keepdims=True)
    return rows


def best(function, rounds):
    """Seconds of the fastest of several calls, and the median."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return min(times), float(np.median(times))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = random_rows(args.rows, args.width, rng)
    query = rows[:1] + 0.5 * random_rows(1, args.width, rng)
    query /= np.linalg.norm(query)
    begin = time.perf_counter()
    gallery = Gallery(rows, ["somebody"] * args.rows)
    print(f"made in {time.perf_counter() - begin:.1f} s")
    gallery.search(query)  # reads the codes, compiles

    def product():
        similarities = rows @ query[0]
        chosen = np.argpartition(similarities, -10)[-10:]
        return chosen[np.argsort(-similarities[chosen])]

    np.testing.assert_array_equal(gallery.search(query, 10)[1][0], product())
    for name, function in (("gallery, exact top 10", lambda: gallery.search(query, 10)), ("product, float32", product)):
        fastest, median = best(function, args.rounds)
        print(f"{name:24} {fastest * 1e3:7.1f} ms, median {median * 1e3:.1f}")


if __name__ == "__main__":
    main()
