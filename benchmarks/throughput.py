"""Images a second and memory of a backbone beside the same in PyTorch: facenet-pytorch's, or one of torch_networks.

    pip install torch requests tqdm; pip install --no-deps facenet-pytorch  # elsewhere
    python benchmarks/throughput.py --torch_python ~/torch/bin/python [--backbone iresnet50 --image_size 112]

One training step is forward, backward and Adam with a 512-d embedding and 1,000 classes; embedding
is forward in inference mode. Both get the same number of threads and random images. Each
measurement has a process of its own, theirs and ours in turn, `--repeats` times; the table holds
medians. "usual" is the median step of a process, "best" its fastest, which other programs disturb
least. Peak memory is that of the whole process; "library" is what the import alone takes.
PyTorch is measured as it comes, and with its channels_last memory format.
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import types

EMBEDDING_SIZE, CLASSES = 512, 1000
SYSTEMS = ("tf_facenet", "pytorch", "pytorch channels_last")


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def keras_step(system, task, args):
    """A function that runs one step of this package, and the memory of its library."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tf_facenet  # noqa: F401, I001  (first: it lets TensorFlow use oneDNN)
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    library = peak_megabytes()
    keras.config.set_dtype_policy("mixed_bfloat16" if args.precision == "bfloat16" else "float32")
    from tf_facenet import backbones
    from tf_facenet.backbones.folding import fold_batch_norms
    from tf_facenet.kernels import fuse

    backbone = backbones.create(args.backbone, args.image_size, EMBEDDING_SIZE)
    images = tf.random.uniform([args.batch_size, args.image_size, args.image_size, 3], 0, 255)
    if task == "embed":
        folded = fold_batch_norms(backbone)
        fuse(folded)
        embed = tf.function(lambda pixels: folded(pixels, training=False))
        return lambda: embed(images).numpy(), library
    fuse(backbone)
    head = keras.layers.Dense(CLASSES, dtype="float32")
    head.build((None, EMBEDDING_SIZE))
    variables = backbone.trainable_variables + head.trainable_variables
    optimizer = keras.optimizers.Adam()
    optimizer.build(variables)
    labels = tf.random.uniform([args.batch_size], 0, CLASSES, tf.int32)

    @tf.function
    def train():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(
                labels, head(backbone(images, training=True)), from_logits=True))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return loss

    return lambda: train().numpy(), library


def torch_network(backbone, classify):
    """The network in PyTorch; `classify` with a last layer for the classes."""
    import torch

    if backbone != "inception_resnet_v1":
        network = importlib.import_module("torch_networks").create(backbone, EMBEDDING_SIZE)
        return torch.nn.Sequential(network, torch.nn.Linear(EMBEDDING_SIZE, CLASSES)) if classify else network
    # The package itself would import its detector, which wants a torchvision of another release.
    package = types.ModuleType("facenet_pytorch")
    package.__path__ = importlib.util.find_spec("facenet_pytorch").submodule_search_locations
    sys.modules["facenet_pytorch"] = package
    network = importlib.import_module("facenet_pytorch.models.inception_resnet_v1")
    return network.InceptionResnetV1(classify=classify, num_classes=CLASSES)


def torch_step(system, task, args):
    """The same in PyTorch."""
    import torch

    library = peak_megabytes()
    torch.set_num_threads(args.threads)
    layout = torch.channels_last if "channels_last" in system else torch.contiguous_format
    model = torch_network(args.backbone, task == "train").to(memory_format=layout)
    images = torch.rand(args.batch_size, 3, args.image_size, args.image_size).to(memory_format=layout)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bfloat16")
    if task == "embed":
        model.eval()

        def embed():
            with torch.inference_mode(), autocast:
                return model(images).float().numpy()

        return embed, library
    optimizer = torch.optim.Adam(model.parameters())
    labels = torch.randint(0, CLASSES, (args.batch_size,))

    def train():
        optimizer.zero_grad()
        with autocast:
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return train, library


def measure(args):
    """In a process of its own: print the rates and the memory of one system as JSON."""
    system, task = args.measure
    make = keras_step if system == "tf_facenet" else torch_step
    step, library = make(system, task, args)
    step()
    step()
    seconds = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({
        "usual": args.batch_size / statistics.median(seconds),
        "best": args.batch_size / min(seconds), "peak": peak_megabytes(), "library": library}))


def run(system, task, precision, args):
    python = sys.executable if system == "tf_facenet" else args.torch_python
    command = [python, __file__, "--measure", system, task, "--precision", precision,
               "--threads", str(args.threads), "--batch_size", str(args.batch_size),
               "--steps", str(args.steps), "--backbone", args.backbone, "--image_size", str(args.image_size)]
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(__file__)) or "."}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.splitlines()[-1])


def report(task, precision, results):
    """One row for each system; ratios are of this package to the row's."""
    def medians(system):
        return {key: statistics.median(result[key] for result in results[system])
                for key in results[system][0]}

    ours = medians(SYSTEMS[0])
    for system in SYSTEMS:
        row = medians(system)
        print(f"{task:6} {precision:9} {system:30} {row['usual']:7.1f} {row['best']:7.1f} "
              f"{ours['usual'] / row['usual']:7.2f} {ours['best'] / row['best']:6.2f} "
              f"{row['peak']:7.0f} {row['library']:8.0f}", flush=True)


def arguments(description):
    """The parser of what a measurement needs to know."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--torch_python", default=sys.executable,
                        help="the Python that has torch, and facenet-pytorch for inception_resnet_v1")
    parser.add_argument("--backbone", default="inception_resnet_v1")
    parser.add_argument("--image_size", type=int, default=160)
    parser.add_argument("--tasks", nargs="+", default=["embed", "train"])
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    return parser


def main():
    args = arguments(__doc__.partition("\n")[0]).parse_args()
    if args.measure:
        args.precision = args.precision[0]
        measure(args)
        return
    print(f"{'':47} images a second   ours/theirs    peak  library\n"
          f"{'task':6} {'precision':9} {'system':30} {'usual':>7} {'best':>7} {'usual':>7} "
          f"{'best':>6} {'MB':>7} {'MB':>8}")
    for precision in args.precision:
        for task in args.tasks:
            results = {system: [] for system in SYSTEMS}
            for _ in range(args.repeats):
                for system in SYSTEMS:
                    results[system].append(run(system, task, precision, args))
            report(task, precision, results)


if __name__ == "__main__":
    main()
