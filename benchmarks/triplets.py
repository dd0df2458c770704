"""Time and memory of triplet selection and triplet losses beside their originals.

    python benchmarks/triplets.py                                 # without tensorflow-addons
    python benchmarks/triplets.py --tfa_python PYTHON             # an interpreter that has it

Selection: `select_triplets` beside a restatement of facenet's loop over pairs, in turn in one
process, for 45 people with 40 images and 128-d embeddings. Memory is what was allocated beyond the
embeddings, at the peak (tracemalloc).

Losses: value and gradient of `TripletLoss` in a tf.function beside tensorflow-addons, which cannot
be imported with today's TensorFlow and runs in its own interpreter. Each side of a row is a process
of its own with the same batch and number of threads; they take turns, and their losses must agree.
Memory is the growth of the resident peak over the same step on a few rows. The semi-hard loss of
tensorflow-addons holds several tensors [B², B], 23 GB each for 1,800 rows; there is no peer for that
nor for the loss of all triplets. All times are medians.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc

import numpy as np

PEOPLE, IMAGES, WIDTH, ALPHA = 45, 40, 128, 0.2
SPREADS = {"untrained": 8.0, "half-way": 2.0, "later": 1.2, "trained": 0.5}  # noise around each person
LOSSES = [  # mining, soft, people, whether tensorflow-addons can
    ("semi_hard", False, 9, True), ("semi_hard", False, 15, True), ("semi_hard", False, PEOPLE, False),
    ("hard", False, PEOPLE, True), ("hard", True, PEOPLE, True),
    ("all", False, PEOPLE, False), ("all", True, PEOPLE, False)]
LINE = "{:<32} {:>6} {:>10} {:>10} {:>7} {:>10} {:>10}"


def faces(people, spread, seed=0):
    """Unit rows [people · IMAGES, WIDTH] float32, person after person."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((people, 1, WIDTH)) + spread * rng.standard_normal((people, IMAGES, WIDTH))
    rows = rows.reshape(-1, WIDTH)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")


def facenet_select(embeddings, num_per_class, people_per_batch, alpha, rng):
    """Select as facenet does: distances of an anchor, then one search for each positive."""
    first, triplets = 0, []
    for count in num_per_class[:people_per_batch]:
        for anchor in range(first, first + count - 1):
            distances = np.sum(np.square(embeddings[anchor] - embeddings), 1)
            for positive in range(anchor + 1, first + count):
                near = np.sum(np.square(embeddings[anchor] - embeddings[positive]))
                distances[first : first + count] = np.nan
                candidates = np.where(distances - near < alpha)[0]
                if candidates.shape[0] > 0:
                    triplets.append((anchor, positive, candidates[rng.integers(candidates.shape[0])]))
        first += count
    rng.shuffle(triplets)
    return triplets


def seconds(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def peak(function, *arguments):
    """MiB allocated beyond the arguments."""
    tracemalloc.start()
    function(*arguments)
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size / 2**20


def selection(name, repeats):
    """Triplets found, seconds and MiB of ours, and of the loop."""
    # Imported here and not above: the other interpreter reads this file too.
    from tf_facenet.training.mining import select_triplets

    rng, embeddings = np.random.default_rng(0), faces(PEOPLE, SPREADS[name])
    arguments = (embeddings, [IMAGES] * PEOPLE, PEOPLE, ALPHA, rng)
    times = []
    for _ in range(repeats):
        (ours, triplets), (theirs, expected) = seconds(select_triplets, *arguments), seconds(facenet_select, *arguments)
        if {(a, p) for a, p, _ in triplets.tolist()} != {(a, p) for a, p, _ in expected}:
            raise SystemExit(f"the loop finds {len(expected)} triplets, select_triplets {len(triplets)}")
        times.append((ours, theirs))
    ours, theirs = (statistics.median(side) for side in zip(*times, strict=True))
    return len(triplets), (ours, peak(select_triplets, *arguments)), (theirs, peak(facenet_select, *arguments))


def selection_row(name, repeats):
    count, (ours, memory), (theirs, their_memory) = selection(name, repeats)
    print(LINE.format(f"select, {name}, {count} found", PEOPLE * IMAGES, f"{ours * 1e3:.0f}", f"{theirs * 1e3:.0f}",
                      f"{theirs / ours:.1f}", f"{memory:.0f}", f"{their_memory:.0f}"), flush=True)


def our_loss(mining, soft):
    from tf_facenet.losses import TripletLoss

    return TripletLoss(ALPHA, mining, "squared-L2", soft)


def addons_loss(mining, soft):
    import tensorflow_addons as tfa

    if mining == "semi_hard":
        return lambda labels, rows: tfa.losses.triplet_semihard_loss(labels, rows, ALPHA, "squared-L2")
    return lambda labels, rows: tfa.losses.triplet_hard_loss(labels, rows, ALPHA, soft, "squared-L2")


def resident_peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def work(side, mining, soft, people, threads):
    """For each line of standard input one step: print its seconds, the loss and the memory's growth."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    loss = {"ours": our_loss, "addons": addons_loss}[side](mining, soft)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, WIDTH])])
    def step(labels, rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            cost = loss(labels, rows)
        return cost, tape.gradient(cost, rows)

    labels, rows = tf.constant(np.repeat(np.arange(people, dtype="int32"), IMAGES)), tf.constant(faces(people, 1.5))
    step(labels[: IMAGES + 8], rows[: IMAGES + 8])
    base = resident_peak()
    for _ in sys.stdin:
        duration, (cost, _) = seconds(lambda: [part.numpy() for part in step(labels, rows)])
        print("step", duration, cost, resident_peak() - base, flush=True)


class Worker:
    """A process that measures one loss."""

    def __init__(self, python, side, mining, soft, people, threads):
        self.process = subprocess.Popen(
            [python, __file__, "--work", side, mining, str(int(soft)), str(people), str(threads)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})

    def step(self):
        """Seconds, loss, MiB of one step."""
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("step "):  # others are the libraries' greetings
                return tuple(float(number) for number in line.split()[1:])
        raise SystemExit(f"{self.process.args} stopped; run it by hand to see why")

    def close(self):
        """Let the process end."""
        self.process.stdin.close()
        self.process.wait()


def compared_losses(mining, soft, people, addons, arguments):
    """Median seconds, and MiB, of ours and then of tensorflow-addons if it is there."""
    workers = [Worker(sys.executable, "ours", mining, soft, people, arguments.threads)]
    if addons and arguments.tfa_python:
        workers.append(Worker(arguments.tfa_python, "addons", mining, soft, people, arguments.threads))
    results = np.array([[worker.step() for worker in workers] for _ in range(arguments.repeats + 1)])
    for worker in workers:
        worker.close()
    costs = results[0, :, 1]
    if costs.max() - costs.min() > 1e-5:
        raise SystemExit(f"{mining}: the losses differ, {costs}")
    return np.median(results[1:, :, 0], axis=0), results[-1, :, 2]


def loss_row(mining, soft, people, addons, arguments):
    times, memory = compared_losses(mining, soft, people, addons, arguments)
    times = times * 1e3
    peer = [f"{times[1]:.0f}", f"{times[1] / times[0]:.1f}", f"{memory[1]:.0f}"] if len(times) == 2 else ["-"] * 3
    name = f"loss, {mining}{', soft' if soft else ''}"
    print(LINE.format(name, people * IMAGES, f"{times[0]:.0f}", *peer[:2], f"{memory[0]:.0f}", peer[2]), flush=True)


def rows(bench):
    """Rows of the common table."""
    import table

    for name in ("untrained", "trained"):
        _, (ours, memory), (theirs, their_memory) = selection(name, bench.rounds)
        yield table.Row(f"select triplets, {name}", "ms", ours * 1e3, "facenet's loop", theirs * 1e3, memory,
                        their_memory)
    settings = argparse.Namespace(threads=bench.threads, repeats=bench.rounds, tfa_python=bench.tfa_python)
    for mining, people in (("semi_hard", 9 if bench.quick else 15), ("hard", PEOPLE)):
        times, memory = compared_losses(mining, False, people, True, settings)
        peer = ["tensorflow-addons", times[1] * 1e3] if len(times) == 2 else ["", np.nan]
        yield table.Row(f"{mining} loss with gradient, {people * IMAGES:,} rows", "ms", times[0] * 1e3, *peer, *memory)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tfa_python", help="interpreter with tensorflow-addons 0.23, the peer of the losses")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="TensorFlow threads of each side")
    parser.add_argument("--work", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        side, mining, *numbers = arguments.work
        return work(side, mining, *(int(number) for number in numbers))
    print(LINE.format("what", "rows", "ours ms", "peer ms", "ratio", "ours MiB", "peer MiB"))
    for name in SPREADS:
        selection_row(name, arguments.repeats)
    for loss in LOSSES:
        loss_row(*loss, arguments)
    return None


if __name__ == "__main__":
    main()
