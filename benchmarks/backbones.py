"""Size, speed and memory of the backbones, and their speed beside the same networks in plain PyTorch.

    pip install torch  # elsewhere
    python benchmarks/backbones.py --torch_python ~/torch/bin/python

Steps are those of throughput.py, at 112 × 112 pixels with 512-d; the ratios are to the faster of PyTorch's two memory
formats, from medians of `--repeats` processes in turn. Networks that torch_networks.py lacks have no ratio.
"""

import math
import statistics

import throughput

NETWORKS = ("mobilefacenet", "mbf", "iresnet18", "iresnet34", "iresnet50", "iresnet100")
OTHERS = ("small", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3", "inception_resnet_v1", "swin_t")


def size(name, image_size):
    """(parameters, multiplications of the kernels for one image)."""
    from tf_facenet import backbones

    model = backbones.create(name, image_size, throughput.EMBEDDING_SIZE)
    products = sum(math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
                   for layer in model.layers if hasattr(layer, "kernel"))
    return sum(math.prod(weight.shape) for weight in model.trainable_weights), products


def rates(task, systems, args):
    """Median images a second of each system, and our peak memory in MB."""
    results = {system: [] for system in systems}
    for _ in range(args.repeats):
        for system in systems:
            results[system].append(throughput.run(system, task, "float32", args))
    medians = {system: statistics.median(result["usual"] for result in results[system]) for system in systems}
    return medians, statistics.median(result["peak"] for result in results[throughput.SYSTEMS[0]])


def row(name, args):
    """A line of the table."""
    args.backbone = name
    ours, *theirs = throughput.SYSTEMS
    systems = (ours, *theirs) if name in NETWORKS and args.torch_python else (ours,)
    parameters, products = size(name, args.image_size)
    cells = [f"{name:20} {parameters / 1e6:8.2f} {products / 1e9:8.2f}"]
    for task in args.tasks:
        medians, peak = rates(task, systems, args)
        best = max((medians[system] for system in systems[1:]), default=math.nan)
        cells.append(f"{medians[ours]:9.1f} {medians[ours] / best:7.2f} {peak:7.0f}")
    return " ".join(cells)


def main():
    parser = throughput.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--backbones", nargs="+", default=[*NETWORKS, *OTHERS])
    parser.set_defaults(image_size=112, torch_python=None)
    args = parser.parse_args()
    tasks = "".join(f"{task + '/s':>10} {'ratio':>7} {'MB':>7}" for task in args.tasks)
    print(f"{'':20} {'M param.':>8} {'G MACs':>8}{tasks}")
    for name in args.backbones:
        print(row(name, args), flush=True)


if __name__ == "__main__":
    main()
