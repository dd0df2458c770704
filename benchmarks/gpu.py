"""Training with ArcFace on one GPU, on 100,000 and a million classes: ours on JAX beside plain PyTorch.

    pip install jax[cuda12] keras torch facenet-pytorch --no-deps
    python benchmarks/gpu.py --networks iresnet50 iresnet100 mbf inception_resnet_v1 --classes 100000 1000000

A step is forward, backward and SGD with momentum of the network in bfloat16, the class centres and their cosines in
float32 (products in TF32); pixels are random and lie on the device. "sampled" trains a tenth of the centres in a step
(PartialFC). PyTorch runs the networks of torch_networks.py (facenet-pytorch's Inception-ResNet-v1) compiled, with
channels last and bfloat16 autocast. Every measurement has a process of its own; a rate is that of the median step.
The share is of the multiplications that a training step cannot do without (three times those of the forward pass),
at `--peak` TFLOP/s. Runs at tiny size on a CPU as well.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

EMBEDDING_SIZE, SCALE, MARGIN, RATE, MOMENTUM = 512, 64.0, 0.5, 0.01, 0.9
SYSTEMS = ("tf_facenet", "torch")
HEADS = ("dense", "sampled")


def side(args):
    """Pixels of a side: what the network is known for, unless told."""
    return args.image_size or (160 if args.network.startswith("inception") else 112)


def products(model):
    """Multiplications of the kernels for one image."""
    import math

    return sum(math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
               for layer in model.layers if hasattr(layer, "kernel"))


def ours(args):
    """(function that runs a step and waits, multiplications for an image, function that gives the peak memory)."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import jax
    import keras
    from jax import numpy as jnp

    from tf_facenet import backbones, heads
    from tf_facenet.training.trainer import FaceTrainer

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("mixed_bfloat16")
    backbone = backbones.create(args.network, side(args), EMBEDDING_SIZE)
    options = {"sample_rate": args.rate} if args.head == "sampled" else {}
    head = heads.create("arcface", args.classes, EMBEDDING_SIZE, scale=SCALE, margin=MARGIN, **options)
    trainer = FaceTrainer(backbone, head)
    optimizer = keras.optimizers.SGD(RATE, momentum=MOMENTUM)
    optimizer.build(trainer.trainable_variables)
    step = jax.jit((sampled_step if head.samples else dense_step)(trainer, optimizer), donate_argnums=0)
    variables = variables_of(trainer, optimizer)
    wholes = (head.centers.value, jnp.zeros(head.centers.shape)) if head.samples else None
    state = ([[variable.value for variable in group] for group in variables], wholes)
    state = jax.tree.map(jnp.array, state)  # copies: the first step gives them away
    for variable in (*sum(variables, []), head.centers):
        variable._value = None  # the memory of these counts once
    keys = jax.random.split(jax.random.key(0))
    images = jax.random.randint(keys[0], (args.batch_size, side(args), side(args), 3), 0, 256).astype("uint8")
    labels = jax.random.randint(keys[1], (args.batch_size,), 0, args.classes)

    def run():
        nonlocal state
        state, value = step(state, images, labels)
        return float(value)

    return run, products(backbone), lambda: (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)


def variables_of(trainer, optimizer):
    """Those that gradients train, the others without the centres of a head that samples, and the optimizer's."""
    others = [variable for variable in trainer.non_trainable_variables if variable is not trainer.head.centers]
    return trainer.trainable_variables, others, optimizer.variables


def dense_step(trainer, optimizer):
    """(state, images, labels) → state, loss; a state is the values of `variables_of`, and whole centres or None."""
    import jax
    import keras

    trained, others, _ = variables_of(trainer, optimizer)

    def step(state, images, labels):
        (values, other_values, slots), wholes = state

        def loss(values):
            mapping = list(zip(trained + others, values + other_values, strict=True))
            with keras.StatelessScope(state_mapping=mapping) as scope:
                total = trainer.terms(trainer.backbone(images, training=True), labels, training=True)["loss"]
            return total, [scope.get_current_value(variable) for variable in others]

        (value, new_others), gradients = jax.value_and_grad(loss, has_aux=True)(values)
        values, slots = optimizer.stateless_apply(slots, gradients, values)
        return ([values, new_others, slots], wholes), value

    return step


def sampled_step(trainer, optimizer):
    """The same for a head that samples; its state holds the whole centres and their velocities."""
    import keras

    head, dense = trainer.head, dense_step(trainer, optimizer)
    trained, others, slots = variables_of(trainer, optimizer)
    part, drawn = index_of(trained, head.sampled_centers), index_of(others, head.sampled_classes)
    part_of_slots = next(i for i, slot in enumerate(slots) if "sampled_centers" in slot.path)

    def step(state, images, labels):
        (values, other_values, slots), (centers, velocities) = state
        with keras.StatelessScope(state_mapping=list(zip(others, other_values, strict=True))) as scope:
            classes = head.draw(labels)
            other_values = [scope.get_current_value(variable) for variable in others]
        rows, other_values[drawn] = head.rows(classes), classes
        values[part], slots[part_of_slots] = centers[rows], velocities[rows]
        ([values, other_values, slots], _), value = dense(([values, other_values, slots], None), images, labels)
        wholes = centers.at[rows].set(values[part]), velocities.at[rows].set(slots[part_of_slots])
        return ([values, other_values, slots], wholes), value

    return step


def index_of(variables, variable):
    return next(i for i, other in enumerate(variables) if other is variable)


def theirs(args):
    """The same in PyTorch."""
    import throughput
    import torch

    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = throughput.torch_network(args.network, False).to(device, memory_format=torch.channels_last)
    network, loss_of = (map(torch.compile, (model, arcface)) if device == "cuda" else (model, arcface))
    centers = torch.randn(args.classes, EMBEDDING_SIZE, device=device).mul_(0.01)
    velocities = torch.zeros_like(centers)
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)
    images = torch.randint(0, 256, (args.batch_size, 3, side(args), side(args)), dtype=torch.uint8, device=device)
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(0, args.classes, (args.batch_size,), device=device)

    def run():
        rows, targets = (slice(None), labels) if args.head == "dense" else sample(labels, args)
        weights = centers[rows].requires_grad_()  # a view of all of them, or a copy of some
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16):
            features = network((images.float() - 127.5) / 128)
        loss = loss_of(features.float(), weights, targets)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            velocities[rows] = velocities[rows].mul_(MOMENTUM).add_(weights.grad)
            centers[rows] -= RATE * velocities[rows]
        return loss.item()

    return run, 0, lambda: torch.cuda.max_memory_allocated() if device == "cuda" else 0


def arcface(features, rows, targets):
    """The loss of rows [n, D] of the centres."""
    from torch.nn import functional

    cosine = functional.normalize(features) @ functional.normalize(rows).T
    target = cosine.gather(1, targets[:, None])
    wider = (target.clamp(-1 + 1e-7, 1 - 1e-7).acos() + MARGIN).cos()
    return functional.cross_entropy(SCALE * cosine.scatter(1, targets[:, None], wider), targets)


def sample(labels, args):
    """The classes of a step, and the places of the labels among them."""
    import torch

    order = torch.rand(args.classes, device=labels.device)
    order[labels] = 2.0
    rows = torch.topk(order, round(args.rate * args.classes), sorted=False).indices.sort().values
    return rows, torch.searchsorted(rows, labels)


def measure(args):
    """In a process of its own: print rate, memory and time of the first step of one system as JSON."""
    begin = time.perf_counter()
    run, macs, peak = {"tf_facenet": ours, "torch": theirs}[args.system](args)
    run()
    first, seconds = time.perf_counter() - begin, []
    for _ in range(args.steps):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"rate": args.batch_size / statistics.median(seconds), "macs": macs, "peak": peak() / 2 ** 30,
                      "first": first}))


def result(system, network, classes, head, args):
    """What one process measures; a dict with "failed" if it cannot."""
    command = [sys.executable, __file__, "--system", system, "--network", network, "--head", head, "--classes",
               str(classes), "--batch_size", str(args.batch_size), "--steps", str(args.steps), "--rate",
               str(args.rate), "--image_size", str(args.image_size)]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {"failed": done.stderr.strip().splitlines()[-1][:150]}


def row(network, classes, head, args):
    """A line of the table: ours, theirs, and the ratio of the rates."""
    results = [result(system, network, classes, head, args) for system in args.systems]
    cells, macs = [], results[0].get("macs", 0)
    for found in results:
        if "failed" in found:
            cells.append(found["failed"])
            continue
        seen = classes * (args.rate if head == "sampled" else 1)
        share = found["rate"] * 6 * (macs + seen * EMBEDDING_SIZE) / args.peak / 1e12
        cells.append(f"{found['rate']:8.0f} {share:6.1%} {found['peak']:6.1f} {found['first']:6.0f}")
    rates = [found.get("rate") for found in results]
    ratio = f"{rates[0] / rates[1]:6.2f}" if len(rates) == 2 and all(rates) else ""
    return f"{network:20} {classes:9,} {head:8} {' | '.join(cells)} {ratio}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["iresnet50", "iresnet100", "mbf", "inception_resnet_v1"])
    parser.add_argument("--classes", nargs="+", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--heads", nargs="+", default=HEADS, choices=HEADS)
    parser.add_argument("--systems", nargs="+", default=SYSTEMS, choices=SYSTEMS)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--image_size", type=int, default=0, help="0 = 112, or 160 for Inception-ResNet")
    parser.add_argument("--rate", type=float, default=0.1, help="share of the classes in a sampled step")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--peak", type=float, default=989.0, help="TFLOP/s of dense bfloat16 products (H100, H200)")
    for hidden in ("--system", "--network", "--head"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.system:
        args.classes = args.classes[0]
        measure(args)
        return
    columns = " | ".join(f"{system + ' img/s':>8}  share     GB  first" for system in args.systems)
    print(f"{'':20} {'classes':>9} {'centres':8} {columns}  ratio")
    for network in args.networks:
        for classes in args.classes:
            for head in args.heads:
                print(row(network, classes, head, args), flush=True)


if __name__ == "__main__":
    main()
