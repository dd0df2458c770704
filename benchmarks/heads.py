"""Time and memory of one training step of a head, dense and with class sampling, beside PyTorch.

    pip install torch  # elsewhere
    python benchmarks/heads.py --torch_python ~/torch/bin/python

A step is forward, backward and SGD with momentum on given features: what the head alone costs. The
peer is arcface_torch's arithmetic in plain PyTorch: centres normalised, logits of all classes by a
matrix product, cosine margin, cross-entropy, dense SGD with momentum; and the same on a sample of
the classes as its PartialFC (second version) has it, whose gradient is dense. Each measurement has
a process of its own, `--repeats` times in turn; the table holds medians. "extra" is the peak of the
process beyond what it held when centres and velocities were there.
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time

SYSTEMS = ("ours dense", "ours sampled", "torch dense", "torch sampled")


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def keras_step(args, rate):
    """A function that runs one step of this package."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    from tf_facenet import heads
    from tf_facenet.training.loop import Loop
    from tf_facenet.training.trainer import FaceTrainer

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    inputs = keras.Input((args.dimensions,))
    head = heads.create("cosface", args.classes, args.dimensions, sample_rate=rate)
    trainer = FaceTrainer(keras.Model(inputs, keras.layers.Identity()(inputs)), head)
    loop = Loop(trainer, keras.optimizers.SGD(0.1, momentum=0.9), tf.distribute.get_strategy())
    features = tf.random.normal([args.batch_size, args.dimensions])
    labels = tf.random.uniform([args.batch_size], 0, args.classes, tf.int32)
    return lambda: float(loop._train_step(features, labels, None)["loss"])


def torch_step(args, rate):
    """A function that runs one step of the peer."""
    import torch

    torch.set_num_threads(args.threads)
    functional = torch.nn.functional
    centers = torch.nn.Parameter(torch.empty(args.classes, args.dimensions).normal_(0, 0.01))
    optimizer = torch.optim.SGD([centers], lr=0.1, momentum=0.9)
    optimizer.state[centers]["momentum_buffer"] = torch.zeros_like(centers)
    features = torch.randn(args.batch_size, args.dimensions, requires_grad=True)
    labels = torch.randint(0, args.classes, (args.batch_size,))
    rows = torch.arange(args.batch_size)

    def sample():
        if rate == 1:
            return centers, labels
        order = torch.rand(args.classes)
        order[labels] = 2.0
        classes = order.topk(int(rate * args.classes)).indices.sort().values
        return centers[classes], torch.searchsorted(classes, labels)

    def step():
        weight, targets = sample()
        cosines = functional.linear(
            functional.normalize(features), functional.normalize(weight)).clamp(-1, 1)
        margins = torch.zeros_like(cosines)
        margins[rows, targets] = 0.35
        loss = functional.cross_entropy(64 * (cosines - margins), targets)
        optimizer.zero_grad()
        features.grad = None
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def measure(args):
    """Run one system in this process and print its figures as JSON."""
    system, kind = args.measure.split()
    make = keras_step if system == "ours" else torch_step
    step = make(args, args.rate if kind == "sampled" else 1.0)
    held = peak_megabytes() if system == "torch" else held_megabytes()
    seconds = []
    for _ in range(args.steps + 1):
        begin = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begin)
    print(json.dumps({"seconds": statistics.median(seconds[1:]), "peak": peak_megabytes(),
                      "extra": peak_megabytes() - held}))


def held_megabytes():
    """Resident memory now; the random numbers that centres began with are gone again."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def run(system, args):
    """Figures of one process."""
    python = args.torch_python if system.startswith("torch") else sys.executable
    command = [python, __file__, "--measure", system]
    for name in ("classes", "dimensions", "batch_size", "rate", "threads", "steps"):
        command += [f"--{name}", str(getattr(args, name))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(output.stdout.splitlines()[-1])


def rows(bench):
    """Rows of the common table."""
    import table

    torch = table.has(bench.torch_python, "torch")
    for classes in (100_000,) if bench.quick else (100_000, 1_000_000):
        args = parser().parse_args([f"--classes={classes}", f"--threads={bench.threads}", "--repeats=1",
                                    f"--torch_python={bench.torch_python}", f"--steps={2 if bench.quick else 5}"])
        found = {system: run(system, args) for system in SYSTEMS if torch or not system.startswith("torch")}
        for kind in ("dense", "sampled"):
            ours, peer = found[f"ours {kind}"], found.get(f"torch {kind}", {})
            name = f"head step, {classes:,} classes, {kind}"
            yield table.Row(name, "s", ours["seconds"], f"torch {kind}" * bool(peer),
                            peer.get("seconds", math.nan), ours["peak"], peer.get("peak", math.nan))


def parser():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch_python", help="interpreter that has PyTorch; without it no peer")
    parser.add_argument("--classes", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", choices=SYSTEMS, help=argparse.SUPPRESS)
    return parser


def main():
    args = parser().parse_args()
    if args.measure:
        measure(args)
        return
    systems = [s for s in SYSTEMS if args.torch_python or not s.startswith("torch")]
    results = {system: [] for system in systems}
    for _ in range(args.repeats):
        for system in systems:
            results[system].append(run(system, args))
    print(f"{args.classes:,} classes, {args.dimensions}-d, batch {args.batch_size}, rate {args.rate}")
    print(f"{'':16} seconds a step   peak MB   extra MB   time / ours dense   extra / ours dense")
    rows = {system: {name: statistics.median(result[name] for result in results[system])
                     for name in ("seconds", "peak", "extra")} for system in systems}
    base = rows["ours dense"]
    for system, row in rows.items():
        print(f"{system:16} {row['seconds']:14.2f} {row['peak']:9.0f} {row['extra']:10.0f} "
              f"{row['seconds'] / base['seconds']:19.2f} {row['extra'] / base['extra']:20.2f}")


if __name__ == "__main__":
    main()
