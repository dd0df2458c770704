"""Time and memory of `evaluate` beside facenet's loop over folds and thresholds.

    python benchmarks/verification.py                 # 6,000 and 1,000,000 pairs
    python benchmarks/verification.py --pairs 100000  # a smaller second set

The peer is a plain restatement of facenet's `lfw.evaluate` (one pass over the pairs for each fold
and threshold, with the stable VAL threshold); it is measured in the same run on the same pairs, and
its accuracy and VAL must be the same. Memory is what was allocated beyond the embeddings, at the
peak (tracemalloc), and the resident peak of the process with its embeddings.
"""

import argparse
import functools
import resource
import time
import tracemalloc

import numpy as np
import table

from tf_facenet.evaluation.verification import evaluate


def random_pairs(num_pairs, dimensions, seed=0):
    """Unit rows [2P, D] float32, filled in place, and same [P]: 300 same, 300 different."""
    rng = np.random.default_rng(seed)
    same = (np.arange(num_pairs) // 300) % 2 == 0
    rows = np.empty((2 * num_pairs, dimensions), np.float32)
    for start in range(0, num_pairs, 10_000):
        part = same[start : start + 10_000]
        left, other, noise = rng.standard_normal((3, len(part), dimensions), np.float32)
        rows[2 * start : 2 * (start + len(part)) : 2] = left
        right = np.where(part[:, None], left, other) + noise
        rows[2 * start + 1 : 2 * (start + len(part)) : 2] = right
        block = rows[2 * start : 2 * (start + len(part))]
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return rows, same


def facenet_distances(embeddings, mean, distance):
    a, b = embeddings[0::2] - mean, embeddings[1::2] - mean
    if distance == "squared-L2":
        return np.square(a - b).sum(axis=1)
    cosine = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return np.arccos(np.clip(cosine, -1, 1)) / np.pi


def facenet_evaluate(embeddings, same, distance, subtract_mean, num_folds=10):
    """Accuracy and VAL at FAR 1e-3 in facenet's order of work, and its test curves."""
    def rates(distances, same, threshold):
        accepted = distances < threshold
        true, false = (accepted & same).sum(), (accepted & ~same).sum()
        right = (true + (~accepted & ~same).sum()) / len(same)
        return true / same.sum(), false / (~same).sum(), right

    accuracies, vals = [], []
    fold = np.arange(len(same)) * num_folds // len(same)
    for number in range(num_folds):
        inside, outside = fold == number, fold != number
        mean = embeddings[np.repeat(outside, 2)].mean(axis=0) if subtract_mean else 0
        distances = facenet_distances(embeddings, mean, distance)
        train, test = (distances[outside], same[outside]), (distances[inside], same[inside])
        grid = np.arange(0, 4, 0.01)
        best = np.argmax([rates(*train, threshold)[2] for threshold in grid])
        curve = [rates(*test, threshold) for threshold in grid]
        accuracies.append(curve[best][2])
        grid = np.arange(0, 4, 0.001)
        far = np.array([rates(*train, threshold)[1] for threshold in grid])
        last = np.flatnonzero(far <= 1e-3)[-1]
        threshold = grid[last] + 1e-3 * (1e-3 - far[last]) / (far[last + 1] - far[last])
        vals.append(rates(*test, threshold)[0])
    return np.mean(accuracies), np.mean(vals)


def seconds(function, repeats):
    """Result and the best time of several calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return result, min(times)


def row(num_pairs, dimensions, distance, subtract_mean, with_peer):
    embeddings, same = random_pairs(num_pairs, dimensions)
    settings = {"distance": distance, "subtract_mean": subtract_mean}
    report, ours = seconds(lambda: evaluate(embeddings, same, **settings), 3 if with_peer else 1)
    extra = allocated(lambda: evaluate(embeddings, same, **settings)) / 1e3
    peer, ratio = "-", "-"
    if with_peer:
        (accuracy, val), peer_time = seconds(
            lambda: facenet_evaluate(embeddings, same, **settings), 3)
        if abs(report.accuracy - accuracy) > 1e-3 or abs(report.val - val) > 1e-3:
            raise SystemExit(f"the peer disagrees: {accuracy} {val}, {report.lines()}")
        peer, ratio = f"{peer_time:.2f}", f"{peer_time / ours:.0f}"
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    name = distance + (", mean" if subtract_mean else "")
    print(f"{num_pairs:>9} {dimensions:>4}  {name:<16} {ours:>9.3f} {peer:>9} {ratio:>6} "
          f"{embeddings.nbytes / 1e9:>9.2f} {extra:>9.3f} {resident:>9.2f}", flush=True)


def allocated(function):
    """MB that a call allocates at most."""
    tracemalloc.start()
    function()
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size / 1e6


def rows(bench):
    """Rows of the common table."""
    embeddings, same = random_pairs(6000, 128)
    for distance, subtract_mean in (("squared-L2", False), ("cosine", True)):
        contenders = [functools.partial(function, embeddings, same, distance=distance, subtract_mean=subtract_mean)
                      for function in (evaluate, facenet_evaluate)]
        (_, ours), (_, theirs) = [seconds(contender, bench.rounds) for contender in contenders]
        name = f"verify 6,000 pairs, {distance}{', mean' * subtract_mean}"
        yield table.Row(name, "s", ours, "facenet's loops", theirs, *map(allocated, contenders))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=1_000_000, help="size of the second set")
    arguments = parser.parse_args()
    print(f"{'pairs':>9} {'D':>4}  {'distance':<16} {'ours s':>9} {'facenet s':>9} {'ratio':>6} "
          f"{'input GB':>9} {'extra GB':>9} {'RSS GiB':>9}")
    for num_pairs, dimensions, with_peer in ((6000, 128, True), (arguments.pairs, 512, False)):
        for distance, subtract_mean in (("squared-L2", False), ("cosine", False), ("cosine", True)):
            row(num_pairs, dimensions, distance, subtract_mean, with_peer)


if __name__ == "__main__":
    main()
