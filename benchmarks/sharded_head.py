"""Memory and time of a training step whose classes are spread over devices (--shard_classes), beside the dense head.

    python benchmarks/sharded_head.py --classes 400000 --dimensions 512

A step is forward, backward and SGD with momentum on given features: what the head alone costs. "devices" are logical
CPU devices of one process, "workers" processes of one device that talk over the loopback. Both share the processor,
so that a step takes about as long on any number of them; what must fall is the memory of each. "held" is what a
replica keeps between steps, centres and velocities; "peak" the largest resident memory of a process, less what it had
before the head was made.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import ports


def main():
    args = parse()
    if args.measure:
        print(json.dumps(measure(args)))
        return
    print(f"{args.classes:,} classes of {args.dimensions}, batch {args.batch_size}; median of {args.steps} steps")
    print(f"{'':24}{'held, MB':>10}{'peak, MB':>10}{'step, s':>10}{'loss':>12}")
    for kind, count in (("dense", 1), *((kind, count) for kind in ("devices", "workers") for count in args.counts)):
        row = processes(args, kind, count)
        print(f"{f'{count} {kind}':24}{row['held']:10.0f}{row['peak']:10.0f}{row['step']:10.2f}{row['loss']:12.5f}",
              flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=400_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def processes(args, kind, count):
    """The row of the table: the largest of what the processes measure."""
    workers = count if kind == "workers" else 1
    addresses = ",".join(ports.free_addresses(workers))
    common = [f"--{name}={getattr(args, name)}" for name in ("classes", "dimensions", "batch_size", "steps")]
    started = [subprocess.Popen(
        [sys.executable, __file__, *common, "--measure", kind, str(count), addresses, str(index)],
        stdout=subprocess.PIPE, text=True) for index in range(workers)]
    rows = [json.loads(process.communicate()[0].splitlines()[-1]) for process in started]
    return {name: max(row[name] for row in rows) for name in rows[0]}


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(args):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    from tf_facenet.data.batches import untuned
    from tf_facenet.options import SoftmaxOptions
    from tf_facenet.training import distribution, sharding, spread
    from tf_facenet.training.loop import Loop, Stop
    from tf_facenet.training.trainer import FaceTrainer

    kind, count, addresses, index = args.measure
    place = {"dense": {"strategy": "none"}, "devices": {"strategy": "mirrored", "num_devices": int(count)},
             "workers": {"workers": addresses, "worker_index": int(index)}}[kind]
    options = SoftmaxOptions(head="cosface", embedding_size=args.dimensions, batch_size=args.batch_size,
                             shard_classes=True, **place)
    strategy = distribution.strategy(options)
    before = peak_megabytes()
    with strategy.scope():
        inputs = keras.Input((args.dimensions,))
        backbone = keras.Model(inputs, keras.layers.Identity()(inputs))
        trainer = FaceTrainer(backbone, sharding.create_head(options, args.classes, strategy))
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    distribution.prepare(trainer, strategy, args.batch_size)
    loop = Loop(trainer, optimizer, strategy)
    mine = args.batch_size // loop.workers.count
    features = tf.random.stateless_normal([args.batch_size, args.dimensions], (1, 2))
    labels = tf.random.stateless_uniform([args.batch_size], (3, 4), 0, args.classes, tf.int32)
    part = slice(loop.workers.index * mine, (loop.workers.index + 1) * mine)
    data = untuned(tf.data.Dataset.from_tensors((features[part], labels[part])).repeat())
    clock = Clock()
    with Stop() as stop:
        loop.run(data, args.steps + 2, clock, stop)
    variables = (trainer.head.centers, *optimizer.variables)
    held = sum(4 * spread.components(variable)[0].shape.num_elements() for variable in variables)
    return {"held": held / 2**20, "peak": peak_megabytes() - before, "step": statistics.median(clock.seconds[2:]),
            "loss": clock.loss}


class Clock:
    """Seconds between the steps, and the last loss."""

    def __init__(self):
        self.seconds, self.last = [], time.perf_counter()

    def due(self, step):
        """Always."""
        return True

    def after(self, steps):
        """Note the time."""
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last, self.loss = now, steps[-1][1]["loss"]


if __name__ == "__main__":
    main()
