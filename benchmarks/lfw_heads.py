"""Accuracy of the heads on LFW View 1: one network, one number of steps, several seeds and settings.

    export KERAS_BACKEND=jax PYTHONPATH=.
    python benchmarks/lfw_heads.py pack lfw_112 lfw.npz --protocol lfw_protocol
    python benchmarks/lfw_heads.py train lfw.npz --backbone mobilenet_v1 --steps 2000 --seeds 3 --out heads.json \
        --heads softmax softmax_center "arcface:scale=16,32;margin=0.2,0.5" "arcface:scale=32;sub_centers=3" \
        --grid "learning_rate=0.05,0.1"

`pack` writes the JPEG bytes of the training people (those of peopleDevTrain.txt with at least two images) and of the
pairs of pairsDevTest.txt, which show other people, to one file; "drawn:people=400,images=20" in place of the folder
packs faces drawn by the package. Rows are compared by the averaged weights, with cosines and mirrored images added.

`train` needs Keras on JAX (and no TensorFlow) and uses one device. It trains as train_softmax.py does: random
crop and flip, cosine decay after a linear warm-up, weight decay, averaged weights. A row is a head and, after a colon,
its settings: options of `heads.create`, learning_rate, weight_decay or center_loss_factor, each with all the values to
try; `--grid` has settings for all rows that do not set them (softmax takes only the last three). For one seed all rows
see the same images, crops and first weights. Settings that differ by numbers only share one compiled program, in which
`--together` of them train side by side; `--products` computes convolutions as matrix products, which suits that better.
"""

import argparse
import contextlib
import functools
import itertools
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import jax
import keras
import numpy as np
from jax import numpy as jnp

from tf_facenet import backbones, data, heads, losses
from tf_facenet.data import drawn, pairs, people
from tf_facenet.evaluation.verification import evaluate
from tf_facenet.training import optimizers
from tf_facenet.training.schedules import EpochSchedule
from tf_facenet.training.trainer import FaceTrainer

ALIASES = {"softmax_center": "softmax:center_loss_factor=0.2"}
TRAINING = ("learning_rate", "weight_decay", "center_loss_factor")  # settings of every row
NUMBERS = {*TRAINING, "scale", "margin", "m1", "m2", "m3", "h", "l_margin", "u_margin", "lambda_g"}
FIGURES = ("accuracy", "accuracy_std", "val", "far", "auc", "eer")


@contextlib.contextmanager
def seconds(what):
    """Print how long a block takes."""
    start = time.perf_counter()
    yield
    print(f"  {time.perf_counter() - start:7.1f} s  {what}", flush=True)


def pack(args):
    """Write training images, labels and pairs as JPEG bytes to one file."""
    if args.source.partition(":")[0] == "drawn":
        settings = drawn.parse(args.source)
        shared = {name: settings[name] for name in ("size", "seed") if name in settings}
        faces, test = drawn.draw(**settings), drawn.draw_pairs(first=1_000_000, **shared)
    else:
        protocol = Path(args.protocol or args.source)
        faces = data.load(args.source)
        kept = people.listed(protocol / "peopleDevTrain.txt", faces.names)
        faces = faces.select(kept[faces.labels]).with_min_images(2)
        test = pairs.read_pairs(protocol / "pairsDevTest.txt", args.source)
    used, rows = np.unique(test.images, return_inverse=True)
    jpegs = [sample if isinstance(sample, bytes) else Path(sample).read_bytes() for sample in (*faces.samples, *used)]
    np.savez(args.out, bytes=np.frombuffer(b"".join(jpegs), np.uint8), sizes=[len(jpeg) for jpeg in jpegs],
             labels=faces.labels.astype(np.int32), pairs=rows.ravel(), same=test.same, folds=test.folds)
    print(f"{args.out}: {faces.num_classes} people, {len(faces)} images; {len(test)} pairs of {len(used)} images; "
          f"{Path(args.out).stat().st_size / 1e6:.1f} MB")


def load(args):
    """The packed arrays, with uint8 RGB `images` [N, H, W, 3] and, cropped, `pair_images` instead of the bytes."""
    with np.load(args.packed) as file:
        packed = dict(file)
    jpegs = np.split(packed.pop("bytes"), np.cumsum(packed.pop("sizes"))[:-1])
    with ThreadPoolExecutor() as pool:
        images = np.stack(list(pool.map(lambda jpeg: cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[:, :, ::-1], jpegs)))
    size, (top, left) = args.image_size, (np.array(images.shape[1:3]) - args.image_size) // 2
    labels = with_noise(packed["labels"], args.label_noise)
    return {**packed, "num_classes": int(labels.max()) + 1, "labels": jax.device_put(labels),
            "images": jax.device_put(images[:len(labels)]),
            "pair_images": images[len(labels):, top:top + size, left:left + size]}


def with_noise(labels, share):
    """A share of the labels replaced by another class at random."""
    rng, classes = np.random.default_rng(0), labels.max() + 1
    chosen = rng.permutation(len(labels))[:round(share * len(labels))]
    labels = labels.copy()
    labels[chosen] = (labels[chosen] + rng.integers(1, classes, len(chosen))) % classes
    return labels


def draws(seed, args, images):
    """What is random in the batches of a run: rows, crops and flips [steps, B], rows epoch by epoch."""
    rng, shape = np.random.default_rng(seed), (args.steps, args.batch_size)
    epoch = len(images) // args.batch_size * args.batch_size
    rows = [rng.permutation(len(images))[:epoch] for _ in range(-(-args.steps * args.batch_size // epoch))]
    top, left = (rng.integers(0, side - args.image_size + 1, shape, np.int32) for side in images.shape[1:3])
    return {"rows": np.concatenate(rows)[:shape[0] * shape[1]].reshape(shape).astype(np.int32),
            "top": top, "left": left, "flip": rng.random(shape) < 0.5}


def augmented(images, draw, size):
    """Batch [B, S, S, 3] of the drawn rows, cropped and flipped."""
    def crop(row, top, left, flip):
        image = jax.lax.dynamic_slice(images, (row, top, left, 0), (1, size, size, 3))[0]
        return jnp.where(flip, image[:, ::-1], image)

    return jax.vmap(crop)(draw["rows"], draw["top"], draw["left"], draw["flip"])


def parse_grid(text):
    """"a=1,2;b=c" → {"a": [1, 2], "b": ["c"]}."""
    def value(word):
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                return kind(word)
        return word

    parts = (part.split("=") for part in text.split(";") if part)
    return {name.strip(): [value(word) for word in words.split(",")] for name, words in parts}


def programs_of(row, args):
    """(head, settings) of all combinations of a row's settings, those that share a program in one list."""
    head, _, own = ALIASES.get(row, row).partition(":")
    grid = {name: [getattr(args, name)] for name in TRAINING}
    grid |= {name: values for name, values in parse_grid(args.grid).items() if name in TRAINING or head != "softmax"}
    grid |= parse_grid(own)
    programs = {}
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        fixed = [(name, value) for name, value in settings.items() if name not in NUMBERS]
        programs.setdefault((*fixed, settings["center_loss_factor"] > 0), []).append((head, settings))
    return programs.values()


def use_products(backbone):
    """Let convolutions be sums of products of shifted maps, which JAX maps over replicas without grouping them."""
    def shifted(x, layer, kernel):
        strides, sides = layer.strides, np.array(x.shape[1:3])
        if layer.padding == "same":
            missing = np.maximum((-(-sides // strides) - 1) * strides + kernel.shape[:2] - sides, 0)
            x = jnp.pad(x, [(0, 0), *zip(missing // 2, missing - missing // 2, strict=True), (0, 0)])
        height, width = np.array(x.shape[1:3]) - kernel.shape[:2] + 1
        return [x[:, i:i + height:strides[0], j:j + width:strides[1]] for i, j in np.ndindex(*kernel.shape[:2])]

    def convolution(layer, x, kernel):
        kernel = keras.ops.convert_to_tensor(kernel)
        return jnp.concatenate(shifted(x, layer, kernel), axis=-1) @ jnp.reshape(kernel, (-1, kernel.shape[-1]))

    def depthwise(layer, x):
        kernel = keras.ops.convert_to_tensor(layer.kernel)
        return sum(part * kernel[i, j, :, 0]
                   for part, (i, j) in zip(shifted(x, layer, kernel), np.ndindex(*kernel.shape[:2]), strict=True))

    for layer in backbone.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            layer.call = functools.partial(depthwise, layer)
        elif isinstance(layer, keras.layers.Conv2D):
            layer.convolution_op = functools.partial(convolution, layer)


def new_backbone(seed, args):
    keras.utils.set_random_seed(seed)
    backbone = backbones.create(args.backbone, args.image_size, args.embedding_size,
                                keep_probability=args.keep_probability)
    if args.products:
        use_products(backbone)
    return backbone


def new_trainer(head, settings, backbone, seed, num_classes, args):
    """A `FaceTrainer` whose head has first weights by the seed; its weight decay is added by `make_step`."""
    keras.utils.set_random_seed(seed)
    options = {name: value for name, value in settings.items() if name not in TRAINING}
    center = losses.CenterLoss(num_classes, args.embedding_size) if settings["center_loss_factor"] else None
    return FaceTrainer(backbone, heads.create(head, num_classes, args.embedding_size, **options), center)


def variables_of(trainer):
    """Variables that the loss trains, the backbone's first; and the others, the backbone's first."""
    others = trainer.backbone.non_trainable_variables + trainer.head.non_trainable_variables
    return (trainer.backbone.trainable_variables + trainer.head.trainable_variables,
            others + (trainer.center_loss.variables if trainer.center_loss else []))


def owner(trainer, name):
    """The part of a trainer that has a number of this name: the head's margin, the head, or itself."""
    margin = getattr(trainer.head, "margin", None)
    return next(part for part in (margin, trainer.head, trainer) if hasattr(part, name))


def first_run(trainer, optimizer, settings, draws):
    """What a program takes of a run: state (weights, others, averages, optimizer), numbers, draws."""
    weights, others, slots = ([np.asarray(variable) for variable in variables]
                              for variables in (*variables_of(trainer), optimizer.variables))
    numbers = {name: np.float32(value if name in TRAINING else getattr(owner(trainer, name), name))
               for name, value in settings.items() if name in NUMBERS}
    return (weights, others, weights[:len(trainer.backbone.trainable_variables)], slots), numbers, draws


def make_step(trainer, optimizer, args, shown=("xent", "accuracy")):
    """A function of (state, numbers, images, labels, draw, t) that does training step t and gives the shown terms."""
    rate = EpochSchedule([0], [1.0], 1, epochs=args.steps, decay="cosine", warmup_epochs=args.warmup_steps)
    weights, others = variables_of(trainer)
    rate_index = [variable.name for variable in optimizer.variables].index("learning_rate")

    def loss(values, other_values, numbers, images, labels):
        for name in numbers.keys() - {"learning_rate", "weight_decay"}:
            setattr(owner(trainer, name), name, numbers[name])
        mapping = list(zip(weights + others, values + other_values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            terms = trainer.terms(trainer.backbone(images, training=True), labels, training=True)
            total = terms["loss"] + numbers["weight_decay"] * losses.kernel_decay(weights)
        return total, ([scope.get_current_value(variable) for variable in others], *(terms[name] for name in shown))

    def step(state, numbers, images, labels, draw, t):
        values, others, averages, slots = state
        batch = augmented(images, draw, args.image_size)
        (_, (others, *terms)), gradients = jax.value_and_grad(loss, has_aux=True)(
            values, others, numbers, batch, labels[draw["rows"]])
        decay = jnp.minimum(args.moving_average_decay, (1.0 + t) / (10.0 + t))
        averages = [decay * average + (1 - decay) * value
                    for average, value in zip(averages, values[:len(averages)], strict=True)]
        slots[rate_index] = numbers["learning_rate"] * rate(t)
        values, slots = optimizer.stateless_apply(slots, gradients, values)
        return (values, others, averages, slots), terms

    return step


def train_program(configs, faces, args):
    """Train the ((head, settings), seed) of one program; yields (configs, states, history) of each group."""
    with seconds("first weights"), jax.default_device(jax.devices("cpu")[0]):
        trainers = [new_trainer(*row, faces["backbones"][seed], seed, faces["num_classes"], args)
                    for row, seed in configs]
        optimizer = optimizers.create(args, 1.0)
        optimizer.build(variables_of(trainers[0])[0])
        runs = [first_run(trainer, optimizer, settings, faces["draws"][seed])
                for trainer, ((_, settings), seed) in zip(trainers, configs, strict=True)]
    step = jax.vmap(make_step(trainers[0], optimizer, args), in_axes=(0, 0, None, None, 0, None))

    @functools.partial(jax.jit, donate_argnums=0)
    def some_steps(states, numbers, images, labels, draws, ts):
        return jax.lax.scan(lambda now, x: step(now, numbers, images, labels, *x), states, (draws, ts))

    size, compiled = min(args.together, len(runs)), None
    for start in range(0, len(runs), size):
        group = [runs[min(i, len(runs) - 1)] for i in range(start, start + size)]  # the last one fills up
        states, numbers, draws = jax.tree.map(lambda *leaves: np.stack(leaves), *group)
        history, begin = [], time.perf_counter()
        for t in range(0, args.steps, args.steps_per_call):
            chunk = {name: draw[:, t:t + args.steps_per_call].swapaxes(0, 1) for name, draw in draws.items()}
            call = (states, numbers, faces["images"], faces["labels"], chunk,
                    np.arange(t, t + args.steps_per_call, dtype=np.float32))
            if compiled is None:
                with seconds(f"compilation, {size} at a time"):
                    compiled = some_steps.lower(*call).compile()
                begin = time.perf_counter()
            states, terms = compiled(*call)
            history.append([np.asarray(term).mean(axis=0) for term in terms])  # waits for the device
        rate = args.steps * size / (time.perf_counter() - begin)
        print(f"  {time.perf_counter() - begin:7.1f} s  training, {rate:.1f} steps/s over all {size}", flush=True)
        yield configs[start:start + size], states, np.array(history)


def make_embed(backbone, images, chunk=200):
    """A function of averages and other values [G, ...] that gives embeddings [G, N, D]."""
    weights, others = backbone.trainable_variables, backbone.non_trainable_variables
    padded = np.concatenate([images, images[:-len(images) % chunk]])

    @functools.partial(jax.vmap, in_axes=(0, 0, None))
    def embed(values, other_values, images):
        with keras.StatelessScope(state_mapping=list(zip(weights + others, values + other_values, strict=True))):
            return backbone(images, training=False) + backbone(images[:, :, ::-1], training=False)

    def embed_all(values, other_values):
        parts = [jitted(values, other_values[:len(others)], padded[i:i + chunk]) for i in range(0, len(padded), chunk)]
        return np.concatenate([np.asarray(part, np.float32) for part in parts], axis=1)[:, :len(images)]

    jitted = jax.jit(embed)
    return embed_all


def result(row, settings, seed, embeddings, faces, history):
    """What one run came to; figures are NaN if its training diverged."""
    report = dict.fromkeys(FIGURES, math.nan)
    if np.isfinite(embeddings).all():
        report = vars(evaluate(embeddings, faces["same"], folds=faces["folds"], distance="cosine", target_far=1e-2))
    return {"row": row, "settings": settings, "seed": seed, **{name: report[name] for name in FIGURES},
            "xent": history[:, 0].tolist(), "training_accuracy": history[:, 1].tolist()}


def print_results(results):
    """A line for each run, and one for each setting with mean and spread over its seeds."""
    for (row, settings), runs in itertools.groupby(results, lambda run: (run["row"], run["settings"])):
        runs = list(runs)
        print(f"{row}  {' '.join(f'{name}={value}' for name, value in settings.items())}")
        for run in runs:
            print("    seed {seed}: accuracy {accuracy:.4f}+-{accuracy_std:.4f}  VAL {val:.3f} @ FAR {far:.4f}  AUC "
                  "{auc:.4f}  EER {eer:.4f}".format(**run), f" training: xent {run['xent'][-1]:.3f} accuracy "
                  f"{run['training_accuracy'][-1]:.3f}")
        columns = {name: np.array([run[name] for run in runs]) for name in ("accuracy", "val", "auc", "eer")}
        print("    mean    " + "  ".join(f"{name} {np.mean(column):.4f}+-{np.std(column):.4f}"
                                         for name, column in columns.items()), flush=True)


def train(args):
    """Train every row and write what came of it."""
    keras.config.set_dtype_policy(args.precision)
    args.steps_per_call = min(args.steps_per_call, args.steps)
    args.steps -= args.steps % args.steps_per_call
    arguments = {"device": jax.devices()[0].device_kind, **{k: v for k, v in vars(args).items() if k != "run"}}
    print(" ".join(f"{name}={value}" for name, value in arguments.items()))
    with seconds("images"):
        faces, results = load(args), []
    seeds = range(args.seeds)
    with seconds("networks"), jax.default_device(jax.devices("cpu")[0]):
        faces["backbones"] = [new_backbone(seed, args) for seed in seeds]
    faces["draws"] = [draws(seed, args, faces["images"]) for seed in seeds]
    embed = make_embed(faces["backbones"][0], faces["pair_images"])
    for row in args.heads:
        print(row)
        first = len(results)
        for program in programs_of(row, args):
            for group, states, history in train_program(list(itertools.product(program, seeds)), faces, args):
                with seconds("embedding"):
                    embeddings = embed(states[2], states[1])[:, faces["pairs"]]
                results += [result(row, settings, seed, embeddings[i], faces, history[:, :, i])
                            for i, ((_, settings), seed) in enumerate(group)]
        print_results(results[first:])
        if args.out:
            Path(args.out).write_text(json.dumps({"arguments": arguments, "results": results}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("pack", help="make the file that train reads")
    command.add_argument("source", help="folder of LFW's people, or drawn:people=...")
    command.add_argument("out", help=".npz file")
    command.add_argument("--protocol", default="", help="folder of peopleDevTrain.txt and pairsDevTest.txt")
    command.set_defaults(run=pack)
    command = commands.add_parser("train", help="compare heads", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    command.add_argument("packed", help="file of pack")
    command.add_argument("--heads", nargs="+", default=["softmax"], help="rows: head or head:setting=value,...;...")
    command.add_argument("--grid", default="", help="more settings for all rows, such as scale=32,64;learning_rate=0.1")
    command.add_argument("--products", action="store_true", help="convolutions as matrix products")
    for name, default in {
            "backbone": "small", "image_size": 96, "embedding_size": 128, "keep_probability": 0.6, "steps": 1000,
            "batch_size": 64, "seeds": 3, "optimizer": "ADAM", "learning_rate": 0.05, "warmup_steps": 104,
            "weight_decay": 5e-4, "center_loss_factor": 0.0, "clip_norm": 0.0, "moving_average_decay": 0.999,
            "label_noise": 0.0, "precision": "float32", "together": 1, "steps_per_call": 100, "out": ""}.items():
        command.add_argument(f"--{name}", type=type(default), default=default, help=" ")
    command.set_defaults(run=train, tf1_optimizers=False)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
