"""Images a second of exported networks beside Keras, and the size of their files.

    python benchmarks/export.py [--networks small mobilenet_v1 mbf iresnet18 inception_resnet_v1] [--threads 2]

Keras is `Model.predict` of the network as it was trained; Embedder is ours on the `.keras` file; the exports run in
`inference.runners`, batch after batch. All embed the same random pixels in `--batches` batches, in turn, `--rounds`
times in one process; rates are the best of all rounds, ratios are to Keras' best. int8 is calibrated with drawn faces.
"""

import argparse
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tf_facenet  # noqa: E402, F401, I001  (first: it lets TensorFlow use oneDNN)
import numpy as np  # noqa: E402  (after the log level)
import tensorflow as tf  # noqa: E402

SIZES = {"small": 64, "mobilenet_v1": 112, "mbf": 112, "iresnet18": 112, "iresnet50": 112, "inception_resnet_v1": 160}
EXPORTS = {  # file → options of the export
    "saved_model": {},
    "model.onnx": {},
    "model.tflite": {},
    "float16.tflite": {"quantize": "float16"},
    "int8.tflite": {"quantize": "int8"},
}


def contenders(name, folder, pixels, batch_size):
    """Label → (function that embeds the pixels, file)."""
    from tf_facenet import backbones
    from tf_facenet.data import drawn
    from tf_facenet.export import writing
    from tf_facenet.inference import runners
    from tf_facenet.inference.embedder import Embedder
    from tf_facenet.inference.model_file import save_model

    model = with_statistics(backbones.create(name, pixels.shape[1], 128), pixels[:16])
    save_model(model, folder / "model.keras", {})
    embedder = Embedder.load(folder / "model.keras", batch_size)
    rows = {"Keras predict": (lambda: model.predict(pixels, batch_size=batch_size, verbose=0), None),
            "Embedder": (lambda: embedder.embed(pixels), folder / "model.keras")}
    parts = np.split(pixels, len(pixels) // batch_size)
    pairs = drawn.draw_pairs(people=8, images=2, size=32, num_folds=2, pairs_per_fold=4)
    for file, options in EXPORTS.items():
        try:
            writing.export(model, {}, folder / file, pairs=pairs, **options)
        except ValueError as error:  # random weights do not always bear int8
            print(f"{name} {file}: {error}")
            continue
        runner = runners.load(folder / file)
        rows[file] = (lambda runner=runner: [runner(part).numpy() for part in parts], folder / file)
    return rows


def with_statistics(model, pixels):
    """The network with the batch statistics of some images; those of new deep networks let numbers overflow."""
    norms = [layer for layer in model.layers if hasattr(layer, "moving_variance")]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(pixels, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    return model


def rate(work, count, seconds):
    """Images a second of repeated work."""
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        work()
        done += count
    return done / (time.perf_counter() - start)


def megabytes(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def report(name, args):
    count = args.batch_size * args.batches
    pixels = np.random.default_rng(0).integers(0, 256, (count, SIZES[name], SIZES[name], 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        rows = contenders(name, pathlib.Path(folder), pixels, args.batch_size)
        rates = {label: [] for label in rows}
        for _ in range(args.rounds + 1):
            for label, (work, _) in rows.items():
                rates[label].append(rate(work, len(pixels), args.seconds))
        best = {label: max(found[1:]) for label, found in rates.items()}  # the first round is for warming up
        for label, (_, file) in rows.items():
            size = f"{megabytes(file):7.1f}" if file else ""
            ratio = best[label] / best["Keras predict"]
            print(f"{name:20} {label:15} {best[label]:9.1f} {ratio:7.2f} {size}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--batch_size", type=int, default=100, help="as in Embedder")
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each contender in each round")
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    print(f"{'network':20} {'runs in':15} {'images/s':>9} {'/Keras':>7} {'MB':>7}")
    for name in args.networks:
        report(name, args)


if __name__ == "__main__":
    main()
