"""Size, speed and memory of the backbones, and their speed beside the same networks in plain PyTorch.

    pip install torch  # elsewhere
    python benchmarks/backbones.py --torch_python ~/torch/bin/python

Steps are those of throughput.py, with 512-d, at `--image_size` or the size of `SIZES` or 112 × 112; the ratios are to
the faster of PyTorch's two memory formats, from medians of `--repeats` processes in turn. Networks that neither
torch_networks.py nor facenet-pytorch has have no ratio.
"""

import argparse
import math
import statistics

import table
import throughput

NETWORKS = ("mobilefacenet", "mbf", "iresnet18", "iresnet34", "iresnet50", "iresnet100", "iresnet200")
COMPARED = ("iresnet18", "inception_resnet_v1")  # in the common table
OTHERS = ("small", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3", "inception_resnet_v1", "inception_resnet_v2",
          "swin_t")
SIZES = {"inception_resnet_v1": 160, "inception_resnet_v2": 160, "swin_t": 160}


def image_size(name):
    """Side of the images that a network is measured with."""
    return SIZES.get(name, 112)


def size(name, side):
    """(parameters, multiplications of the kernels for one image of that side)."""
    from tf_facenet import backbones

    model = backbones.create(name, side, throughput.EMBEDDING_SIZE)
    products = sum(math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
                   for layer in model.layers if hasattr(layer, "kernel"))
    return sum(math.prod(weight.shape) for weight in model.trainable_weights), products


def rates(task, systems, args):
    """Median images a second, and peak memory in MB, of each system."""
    results = {system: [] for system in systems}
    for _ in range(args.repeats):
        for system in systems:
            results[system].append(throughput.run(system, task, "float32", args))
    return [{system: statistics.median(result[key] for result in results[system]) for system in systems}
            for key in ("usual", "peak")]


def row(name, args):
    """A line of the table."""
    args = argparse.Namespace(**{**vars(args), "backbone": name, "image_size": args.image_size or image_size(name)})
    ours, *theirs = throughput.SYSTEMS
    systems = (ours, *theirs) if name in (*NETWORKS, *COMPARED) and args.torch_python else (ours,)
    parameters, products = size(name, args.image_size)
    cells = [f"{name:20} {parameters / 1e6:8.2f} {products / 1e9:8.2f}"]
    for task in args.tasks:
        medians, peaks = rates(task, systems, args)
        best = max((medians[system] for system in systems[1:]), default=math.nan)
        cells.append(f"{medians[ours]:9.1f} {medians[ours] / best:7.2f} {peaks[ours]:7.0f}")
    return " ".join(cells)


def rows(bench):
    """Rows of the common table; the peer is the faster of PyTorch's two memory formats."""
    ours, *others = throughput.SYSTEMS
    packages = {"iresnet18": "torch", "inception_resnet_v1": "facenet_pytorch"}
    for name in COMPARED:
        sizes = {"threads": bench.threads, "repeats": 1 if bench.quick else 3, "image_size": image_size(name),
                 "batch_size": 8 if bench.quick else 32, "steps": 2 if bench.quick else 8, "backbone": name,
                 "torch_python": bench.torch_python}
        args = throughput.arguments("").parse_args([f"--{key}={value}" for key, value in sizes.items()])
        theirs = others if table.has(bench.torch_python, packages[name]) else []
        for task in args.tasks:
            speeds, peaks = rates(task, [ours, *theirs], args)
            best = max(theirs, key=speeds.get, default="")
            yield table.Row(f"{task} {name}", "images/s", speeds[ours], best, speeds.get(best, math.nan), peaks[ours],
                            peaks.get(best, math.nan))


def main():
    parser = throughput.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--backbones", nargs="+", default=[*NETWORKS, *OTHERS])
    parser.set_defaults(torch_python=None, image_size=None)
    args = parser.parse_args()
    tasks = "".join(f"{task + '/s':>10} {'ratio':>7} {'MB':>7}" for task in args.tasks)
    print(f"{'':20} {'M param.':>8} {'G MACs':>8}{tasks}")
    for name in args.backbones:
        print(row(name, args), flush=True)


if __name__ == "__main__":
    main()
