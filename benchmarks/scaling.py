"""Step time of 1, 2 and 4 processes on this machine, and what their messages cost.

    python benchmarks/scaling.py [--backbone small --image_size 112 --batch_size 32]

All processes have one thread each and the same batch. "messages" is their step less that of as many processes at the
same time that know nothing of each other. Bytes are those that each process sends in a step: counted on the loopback
(leave the machine alone meanwhile), and by theory, 2 (k − 1) / k · 4 bytes · parameters for the sum of gradients
around a ring. Batch normalisation takes its statistics over all processes, two small messages a layer that the theory
leaves out.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

import ports

COLUMNS = "{:>9} {:>10} {:>12} {:>14} {:>12} {:>12}"


def main():
    options = parse()
    if options.worker is not None:
        print(*measure(options))
        return
    print(f"{options.backbone}, {options.image_size} x {options.image_size}, {options.batch_size} images per process, "
          f"{options.classes} classes, {os.cpu_count()} cores")
    print(COLUMNS.format("processes", "step, ms", "images/s", "messages, ms", "sent, MB", "theory, MB"))
    for count in options.processes:
        alone = statistics.median(run(options, count, together=False)[0])
        seconds, sent, parameters = run(options, count, together=True)
        step = statistics.median(seconds)
        theory = 2 * (count - 1) / count * 4 * parameters / 1e6
        print(COLUMNS.format(count, f"{1e3 * step:.1f}", f"{count * options.batch_size / step:.1f}",
                             f"{1e3 * (step - alone):.1f}", f"{sent / count / options.steps / 1e6:.3f}",
                             f"{theory:.3f}"))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--image_size", type=int, default=112)
    parser.add_argument("--batch_size", type=int, default=32, help="of each process")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--workers", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def run(options, count, together):
    """(seconds of each step, bytes sent by all in all steps, parameters) of processes with messages or without."""
    workers = ",".join(ports.free_addresses(count))
    command = [sys.executable, __file__, *sys.argv[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1",
                   "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(pathlib.Path(__file__).parent.parent)}
    lists = [workers if together and count > 1 else "" for _ in range(count)]
    processes = [subprocess.Popen([*command, "--worker", str(index), "--workers", each], env=environment, text=True,
                                  stdout=subprocess.PIPE) for index, each in enumerate(lists)]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("a process failed; see above")
    *seconds, sent, parameters = map(float, outputs[0].splitlines()[-1].split())
    return seconds, sent, parameters


def measure(options):
    """Seconds of each step, bytes that the loopback carried meanwhile, and the number of trained parameters."""
    import keras
    import numpy as np
    import tensorflow as tf

    from tf_facenet import backbones, heads
    from tf_facenet.data.batches import untuned
    from tf_facenet.options import SoftmaxOptions
    from tf_facenet.training import distribution, optimizers
    from tf_facenet.training.loop import Loop, Stop
    from tf_facenet.training.trainer import FaceTrainer

    count = len(options.workers.split(","))
    settings = SoftmaxOptions(workers=options.workers, worker_index=options.worker if options.workers else None,
                              batch_size=options.batch_size * count, optimizer="MOM", strategy="auto", quiet=True)
    strategy = distribution.strategy(settings)
    keras.utils.set_random_seed(1)
    with strategy.scope():
        backbone = backbones.create(options.backbone, options.image_size, 128)
        trainer = FaceTrainer(backbone, heads.create("arcface", options.classes, 128), weight_decay=5e-4)
        optimizer = optimizers.create(settings, 0.01)
    distribution.prepare(trainer, strategy, settings.batch_size)
    loop = Loop(trainer, optimizer, strategy)
    rng = np.random.default_rng(options.worker)
    images = rng.integers(0, 255, (options.batch_size, options.image_size, options.image_size, 3)).astype("uint8")
    labels = rng.integers(0, options.classes, options.batch_size).astype("int32")
    batches = untuned(tf.data.Dataset.from_tensors((images, labels)).repeat())
    clock = Clock()
    with Stop() as stop:
        loop.run(batches, options.steps + 2, clock, stop)
    parameters = sum(int(np.prod(variable.shape)) for variable in trainer.trainable_variables)
    return *np.diff(clock.times[1:]), clock.bytes[-1] - clock.bytes[1], parameters  # the first steps are for tracing


class Clock:
    """Hooks that note the time and the traffic of the loopback after each step."""

    def __init__(self):
        self.times, self.bytes = [], []

    def due(self, step):
        """Always."""
        return True

    def after(self, steps):
        """Note both."""
        self.times.append(time.perf_counter())
        lines = pathlib.Path("/proc/net/dev").read_text().splitlines()
        loopback = next(line for line in lines if line.strip().startswith("lo:"))
        self.bytes.append(int(loopback.split(":")[1].split()[8]))


if __name__ == "__main__":
    main()
