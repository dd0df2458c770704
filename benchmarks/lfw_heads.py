"""Accuracy of the heads on LFW View 1: one network, one number of steps, several seeds and settings.

    python benchmarks/lfw_heads.py pack lfw_112 lfw.npz --protocol lfw_protocol
    KERAS_BACKEND=jax python benchmarks/lfw_heads.py train lfw.npz --backbone mobilenet_v1 --steps 2000 --seeds 3 \
        --heads softmax softmax_center "arcface:scale=16,32;margin=0.2,0.5" "arcface:scale=32;sub_centers=3" \
        --grid "learning_rate=0.05,0.1" --out heads.json

`pack` needs NumPy and OpenCV only; "drawn:people=400,images=20" in place of the folder packs faces drawn by the
package. Training people are those of peopleDevTrain.txt with at least two images; verified are the pairs of
pairsDevTest.txt, which show other people, with the averaged weights, mirrored images added, and cosines.

`train` needs Keras on JAX (no TensorFlow) and uses one device. It is training as train_softmax.py does it: random
crop and flip, cosine decay after a linear warm-up, weight decay, averaged weights. A row is a head, and after a colon
its settings: options of `heads.create`, learning_rate, weight_decay or center_loss_factor, with all the values to try;
`--grid` holds more of them for the rows that know them and do not set them. Rows see the same images, crops and first
weights for the same seed. What differs by numbers only is one program, compiled once, and `--together` of its settings
train side by side.
"""

import argparse
import contextlib
import itertools
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

ALIASES = {"softmax_center": "softmax:center_loss_factor=0.2"}
TRAINING = ("learning_rate", "weight_decay", "center_loss_factor")  # settings of every row
NUMBERS = {"scale", "margin", "m1", "m2", "m3", "h", "l_margin", "u_margin", "lambda_g"}  # of heads
FIGURES = ("accuracy", "accuracy_std", "val", "far", "auc", "eer")


@contextlib.contextmanager
def seconds(what):
    """Print how long a block takes."""
    start = time.perf_counter()
    yield
    print(f"  {time.perf_counter() - start:7.1f} s  {what}", flush=True)


# ---- data


def pack(args):
    """Write training images, labels and pairs as JPEG bytes to one file."""
    faces, pairs = (drawn_faces if args.source.partition(":")[0] == "drawn" else lfw_faces)(args)
    used, rows = np.unique(pairs.images, return_inverse=True)
    jpegs = [sample if isinstance(sample, bytes) else Path(sample).read_bytes() for sample in (*faces.samples, *used)]
    np.savez(args.out, bytes=np.frombuffer(b"".join(jpegs), np.uint8), sizes=np.array([len(jpeg) for jpeg in jpegs]),
             labels=faces.labels.astype(np.int32), pairs=len(faces) + rows.ravel(), same=pairs.same, folds=pairs.folds)
    print(f"{args.out}: {faces.num_classes} people, {len(faces)} images; {len(pairs)} pairs of {len(used)} images; "
          f"{Path(args.out).stat().st_size / 1e6:.1f} MB")


def lfw_faces(args):
    from tf_facenet import data
    from tf_facenet.data.pairs import read_pairs

    protocol = Path(args.protocol or args.source)
    people = {line.split()[0] for line in (protocol / "peopleDevTrain.txt").read_text().splitlines() if line.strip()}
    faces = data.load(args.source)
    faces = faces.select(np.isin(np.array(faces.names)[faces.labels], list(people)))
    return faces.with_min_images(2), read_pairs(protocol / "pairsDevTest.txt", args.source)


def drawn_faces(args):
    from tf_facenet.data import drawn

    settings = drawn.parse(args.source)
    shared = {name: settings[name] for name in ("size", "seed") if name in settings}
    return drawn.draw(**settings), drawn.draw_pairs(**shared)


def load(path):
    """The packed arrays, with `images` [N, H, W, 3] uint8 RGB instead of the bytes."""
    with np.load(path) as file:
        packed = dict(file)
    sizes = packed.pop("sizes")
    parts = np.split(packed.pop("bytes"), np.cumsum(sizes)[:-1])
    with ThreadPoolExecutor() as pool:
        images = pool.map(lambda part: cv2.imdecode(part, cv2.IMREAD_COLOR)[:, :, ::-1], parts)
        packed["images"] = np.stack(list(images))
    return packed


def with_noise(labels, share):
    """A share of the labels replaced by another class at random."""
    rng, classes = np.random.default_rng(0), labels.max() + 1
    chosen = rng.permutation(len(labels))[:round(share * len(labels))]
    labels = labels.copy()
    labels[chosen] = (labels[chosen] + rng.integers(1, classes, len(chosen))) % classes
    return labels


def draws(seed, steps, num_images, args, spare):
    """What is random in the batches of a run: rows, crops and flips [steps, B]; epoch by epoch, as training does."""
    rng, size = np.random.default_rng(seed), args.batch_size
    epoch = num_images // size * size
    rows = np.concatenate([rng.permutation(num_images)[:epoch] for _ in range(-(-steps * size // epoch))])
    top, left = (rng.integers(0, most + 1, (steps, size), np.int32) for most in spare)
    return {"rows": rows[:steps * size].reshape(steps, size).astype(np.int32), "top": top, "left": left,
            "flip": rng.random((steps, size)) < 0.5}


# ---- rows


def parse_value(text):
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def parse_grid(text):
    """"a=1,2;b=3" → {"a": [1, 2], "b": [3]}."""
    parts = (part.split("=") for part in text.split(";") if part)
    return {name.strip(): [parse_value(value) for value in values.split(",")] for name, values in parts}


def settings_of(row, args):
    """All combinations of a row's settings, those of equal programs together: {program: [settings]}."""
    head, _, own = ALIASES.get(row, row).partition(":")
    grid = {name: [getattr(args, name)] for name in TRAINING}
    grid |= {name: values for name, values in parse_grid(args.grid).items() if name in TRAINING or head != "softmax"}
    grid |= parse_grid(own)
    programs = {}
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        fixed = tuple((name, value) for name, value in settings.items() if name not in NUMBERS and name not in TRAINING)
        programs.setdefault((head, fixed, settings["center_loss_factor"] > 0), []).append(settings)
    return programs


# ---- training


def new_trainer(head, settings, backbone, seed, num_classes, args):
    """A `FaceTrainer` whose head has first weights by the seed."""
    import keras

    from tf_facenet import heads, losses
    from tf_facenet.training.trainer import FaceTrainer

    keras.utils.set_random_seed(seed)
    options = {name: value for name, value in settings.items() if name not in TRAINING}
    center = losses.CenterLoss(num_classes, args.embedding_size) if settings["center_loss_factor"] else None
    return FaceTrainer(backbone, heads.create(head, num_classes, args.embedding_size, **options), center)


def variables_of(trainer):
    """Variables that the loss trains, the backbone's first; and the others."""
    others = trainer.backbone.non_trainable_variables + trainer.head.non_trainable_variables
    return (trainer.backbone.trainable_variables + trainer.head.trainable_variables,
            others + (trainer.center_loss.variables if trainer.center_loss else []))


def owner(trainer, name):
    """The part of a trainer that has a number as attribute."""
    parts = (getattr(trainer.head, "margin", None), trainer.head, trainer)
    return next(part for part in parts if hasattr(part, name) and not hasattr(getattr(part, name), "variables"))


def numbers_of(trainer, settings):
    """The settings that a program takes as arguments."""
    return {name: np.float32(value if name in TRAINING else getattr(owner(trainer, name), name))
            for name, value in settings.items() if name in TRAINING or name in NUMBERS}


def make_step(trainer, optimizer, args, steps):
    """A function of (state, numbers, images, labels, draw, t) that does training step t."""
    import jax
    import keras

    from tf_facenet.losses import kernel_decay
    from tf_facenet.training.schedules import EpochSchedule

    rate = EpochSchedule([0], [1.0], 1, epochs=steps, decay="cosine", warmup_epochs=args.warmup_steps)
    weights, others = variables_of(trainer)
    rate_index = next(i for i, variable in enumerate(optimizer.variables) if variable.name == "learning_rate")

    def loss(values, other_values, numbers, images, labels):
        for name, value in numbers.items():
            if name not in ("learning_rate", "weight_decay"):
                setattr(owner(trainer, name), name, value)
        mapping = list(zip(weights + others, values + other_values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            terms = trainer.terms(trainer.backbone(images, training=True), labels, training=True)
            total = terms["loss"] + numbers["weight_decay"] * kernel_decay(weights)
        return total, ([scope.get_current_value(variable) for variable in others], terms["xent"], terms["accuracy"])

    def step(state, numbers, images, labels, draw, t):
        values, other_values, averages, slots = state
        batch = augmented(images, draw, args.image_size)
        (_, (other_values, *terms)), gradients = jax.value_and_grad(loss, has_aux=True)(
            values, other_values, numbers, batch, labels[draw["rows"]])
        decay = jax.numpy.minimum(args.moving_average_decay, (1.0 + t) / (10.0 + t))
        averages = [decay * average + (1 - decay) * value for average, value in zip(averages, values)]  # noqa: B905
        slots = [*slots[:rate_index], numbers["learning_rate"] * rate(t), *slots[rate_index + 1:]]
        values, slots = optimizer.stateless_apply(slots, gradients, values)
        return (values, other_values, averages, slots), terms

    return step


def augmented(images, draw, size):
    """Batch [B, S, S, 3] of the drawn rows, cropped and flipped."""
    import jax

    def crop(row, top, left, flip):
        image = jax.lax.dynamic_slice(images, (row, top, left, 0), (1, size, size, 3))[0]
        return jax.numpy.where(flip, image[:, ::-1], image)

    return jax.vmap(crop)(draw["rows"], draw["top"], draw["left"], draw["flip"])


def first_state(trainer, optimizer):
    weights, others = variables_of(trainer)
    values = [np.asarray(variable) for variable in weights]
    averages = values[:len(trainer.backbone.trainable_variables)]
    return values, [np.asarray(variable) for variable in others], averages, [np.asarray(v) for v in optimizer.variables]


def train_program(program, configs, data, args):
    """Train all (settings, seed) of one program; yields (configs, states, history) of those that trained together."""
    import jax

    from tf_facenet.training import optimizers

    with seconds("first weights"):
        trainers = [new_trainer(program[0], settings, data["backbones"][seed], seed, data["num_classes"], args)
                    for settings, seed in configs]
        optimizer = optimizers.create(args, 1.0)
        optimizer.build(variables_of(trainers[0])[0])
        runs = [(first_state(trainer, optimizer), numbers_of(trainer, settings), data["draws"][seed])
                for trainer, (settings, seed) in zip(trainers, configs, strict=True)]
    step = jax.vmap(make_step(trainers[0], optimizer, args, data["steps"]), in_axes=(0, 0, None, None, 0, None))

    def some_steps(states, numbers, images, labels, draws, ts):
        return jax.lax.scan(lambda now, x: step(now, numbers, images, labels, *x), states, (draws, ts))

    size, compiled = min(args.together, len(runs)), jax.jit(some_steps, donate_argnums=0)
    for start in range(0, len(runs), size):
        group = [runs[min(i, len(runs) - 1)] for i in range(start, start + size)]
        states, numbers, draws = jax.tree.map(lambda *leaves: np.stack(leaves), *group)
        draws = jax.tree.map(lambda draw: draw.swapaxes(0, 1), draws)
        history = []
        for t in range(0, data["steps"], args.steps_per_call):
            ts = np.arange(t, t + args.steps_per_call, dtype=np.float32)
            call = (states, numbers, data["images"], data["labels"],
                    {name: draw[t:t + args.steps_per_call] for name, draw in draws.items()}, ts)
            if start == t == 0:
                with seconds(f"compilation of {program[0]}, {size} at a time"):
                    compiled = compiled.lower(*call).compile()
                begin = time.perf_counter()
            states, terms = compiled(*call)
            history.append([np.asarray(term).mean(axis=0) for term in terms])  # waits for the device
        yield configs[start:start + size], states, np.array(history)
    elapsed = time.perf_counter() - begin
    print(f"  {elapsed:7.1f} s  training: {data['steps'] * len(runs) / elapsed:.1f} steps/s over all", flush=True)


def make_embed(backbone):
    """A function of (averages [G, ...], other values [G, ...], images) that gives embeddings [G, N, D]."""
    import jax
    import keras

    weights, others = backbone.trainable_variables, backbone.non_trainable_variables

    def embed(values, other_values, images):
        with keras.StatelessScope(state_mapping=list(zip(weights + others, values + other_values, strict=True))):
            return backbone(images, training=False) + backbone(images[:, :, ::-1], training=False)

    together = jax.jit(jax.vmap(embed, in_axes=(0, 0, None)))

    def embed_all(values, other_values, images, chunk=200):
        other_values = other_values[:len(others)]
        padded = np.concatenate([images, images[:-len(images) % chunk]])
        parts = [together(values, other_values, padded[i:i + chunk]) for i in range(0, len(padded), chunk)]
        return np.concatenate([np.asarray(part, np.float32) for part in parts], axis=1)[:, :len(images)]

    return embed_all


def result(row, settings, seed, embeddings, data, history):
    """What one run came to; figures are None if its training diverged."""
    from tf_facenet.evaluation.verification import evaluate

    report = dict.fromkeys(FIGURES)
    with contextlib.suppress(ValueError):
        report = vars(evaluate(embeddings, data["same"], folds=data["folds"], distance="cosine", target_far=1e-2))
    return {"row": row, "settings": settings, "seed": seed, **{name: report[name] for name in FIGURES},
            "xent": history[:, 0].tolist(), "training_accuracy": history[:, 1].tolist()}


def print_rows(results):
    """A line for each run, and one for each setting with mean and spread over its seeds."""
    for key, same in itertools.groupby(results, lambda r: (r["row"], r["settings"])):
        same = list(same)
        print(f"{key[0]}  {' '.join(f'{name}={value}' for name, value in key[1].items())}")
        for r in same:
            figures = ("diverged" if r["accuracy"] is None else "accuracy {accuracy:.4f}+-{accuracy_std:.4f}  "
                       "VAL {val:.3f} @ FAR {far:.4f}  AUC {auc:.4f}  EER {eer:.4f}".format(**r))
            print(f"    seed {r['seed']}: {figures}  training: loss {r['xent'][-1]:.3f} "
                  f"accuracy {r['training_accuracy'][-1]:.3f}")
        done = [r for r in same if r["accuracy"] is not None]
        if len(done) > 1:
            print("    mean:   " + "  ".join(
                f"{name} {statistics.mean(r[name] for r in done):.4f}+-{statistics.stdev(r[name] for r in done):.4f}"
                for name in ("accuracy", "val", "auc", "eer")), flush=True)


def prepare(args):
    """Arrays on the device, backbones and draws of each seed."""
    import jax
    import keras

    from tf_facenet import backbones

    keras.config.set_dtype_policy(args.precision)
    with seconds("images"):
        data = load(args.packed)
        height, width = data["images"].shape[1:3]
        top, left = (height - args.image_size) // 2, (width - args.image_size) // 2
        central = data["images"][:, top:top + args.image_size, left:left + args.image_size]
        data["num_classes"] = int(data["labels"].max()) + 1
        data["pair_images"] = np.ascontiguousarray(central[len(data["labels"]):])
        data["pairs"] -= len(data["labels"])
        data["images"] = jax.device_put(data["images"][:len(data["labels"])])
        data["labels"] = jax.device_put(with_noise(data["labels"], args.label_noise))
    data["steps"] = args.steps // args.steps_per_call * args.steps_per_call
    spare = (height - args.image_size, width - args.image_size)
    data["draws"] = {seed: draws(seed, data["steps"], len(data["labels"]), args, spare) for seed in range(args.seeds)}
    data["backbones"] = {}
    with seconds(f"{args.seeds} networks"):
        for seed in range(args.seeds):
            keras.utils.set_random_seed(seed)
            data["backbones"][seed] = backbones.create(
                args.backbone, args.image_size, args.embedding_size, keep_probability=args.keep_probability)
    return data


def train(args):
    """Train every row and write what came of it."""
    import jax

    args.tf1_optimizers, args.steps_per_call = False, min(args.steps_per_call, args.steps)
    device = jax.devices()[0].device_kind
    print(f"{device}, {args.backbone}, {args.steps} steps of {args.batch_size}")
    data, results = prepare(args), []
    embed = make_embed(data["backbones"][0])
    for row in args.heads:
        first = len(results)
        for program, settings in settings_of(row, args).items():
            configs = list(itertools.product(settings, range(args.seeds)))
            for group, (_, others, averages, _), history in train_program(program, configs, data, args):
                with seconds(f"embedding of {len(data['pair_images'])} images"):
                    embeddings = embed(averages, others, data["pair_images"])[:, data["pairs"]]
                results += [result(row, *config, embeddings[i], data, history[:, :, i])
                            for i, config in enumerate(group)]
        print_rows(results[first:])
        if args.out:
            arguments = {name: value for name, value in vars(args).items() if name != "run"}
            Path(args.out).write_text(json.dumps({"device": device, "arguments": arguments, "results": results}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("pack")
    command.add_argument("source", help="folder of LFW's people, or drawn:people=...")
    command.add_argument("out")
    command.add_argument("--protocol", default="", help="folder of peopleDevTrain.txt and pairsDevTest.txt")
    command.set_defaults(run=pack)
    command = commands.add_parser("train", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    command.add_argument("packed")
    command.add_argument("--heads", nargs="+", default=["softmax"], help="rows")
    command.add_argument("--grid", default="", help="settings of all rows, as in learning_rate=0.05,0.1;scale=32,64")
    for name, default in {
            "backbone": "small", "image_size": 96, "embedding_size": 128, "keep_probability": 0.6, "steps": 1000,
            "batch_size": 64, "seeds": 3, "optimizer": "ADAM", "learning_rate": 0.05, "warmup_steps": 104,
            "weight_decay": 5e-4, "center_loss_factor": 0.0, "clip_norm": 0.0, "moving_average_decay": 0.999,
            "label_noise": 0.0, "precision": "float32", "together": 8, "steps_per_call": 100, "out": ""}.items():
        command.add_argument(f"--{name}", type=type(default), default=default, help="")
    command.set_defaults(run=train)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
