"""Accuracy of triplet training on LFW View 1 or drawn faces, beside softmax of the same budget.

    export KERAS_BACKEND=jax PYTHONPATH=.
    python benchmarks/lfw_heads.py pack lfw_112 lfw.npz --protocol lfw_protocol
    python benchmarks/lfw_triplets.py lfw.npz --seeds 3 --rows softmax semi_hard softmax+semi_hard offline

The budget is a number of images: those of `--steps` batches of softmax; triplets have as many, in batches of P x K, and
an image that offline mining embeds counts for 0.3. A row is a way to train, or two with a plus: the second begins with
the averaged weights of the first, as --pretrained_model does, and has a budget of its own; a number divides it:
"softmax/2+semi_hard/2". After a colon come settings of the last stage: learning_rate, optimizer, mining_rule or
softmax_loss_factor. Trains on one device with Keras on JAX as train_tripletloss.py does.
"""

import argparse
import dataclasses
import functools
import time
from types import SimpleNamespace

import jax
import keras
import lfw_heads as shared
import numpy as np

from tf_facenet import heads, losses
from tf_facenet.evaluation.verification import evaluate
from tf_facenet.training import mining, optimizers
from tf_facenet.training.trainer import FaceTrainer
from tf_facenet.training.triplet_trainer import TripletTrainer

EMBEDDING_COST = 0.3  # of a training step, for an image
STATISTICS = ("active_share", "positive_distance", "negative_distance")
FIGURES = ("accuracy", "val", "eer")
PEOPLE, PER_PERSON = 18, 5  # of a batch
ROUND = (45, 40)  # of offline mining


@dataclasses.dataclass
class Stage:
    """One way to train: its kind (softmax or a mining), budget in images, and settings."""

    kind: str
    images: int
    optimizer: str = "ADAM"
    learning_rate: float = 0.005
    mining_rule: str = "vgg"
    softmax_loss_factor: float = 0.0

    def trainer(self, backbone, num_classes, seed):
        """The trainer, with first weights by the seed."""
        keras.utils.set_random_seed(seed)
        head = heads.create("softmax", num_classes, backbone.output_shape[-1])
        if self.kind == "softmax":
            return FaceTrainer(backbone, head)
        loss = losses.TripletLoss(0.2, None if self.kind == "offline" else self.kind)
        factor = self.softmax_loss_factor
        return TripletTrainer(backbone, loss, PER_PERSON, head if factor else None, head_factor=factor)


def stages_of(row, args):
    """The stages of a row such as "softmax/2+hard:learning_rate=0.01"."""
    row, _, settings = row.partition(":")
    settings = {name: values[0] for name, values in shared.parse_grid(settings).items()}
    parts, stages = row.split("+"), []
    for part in parts:
        kind, _, divisor = part.partition("/")
        budget = args.steps * args.batch_size // int(divisor or 1)
        own = {"optimizer": "MOM", "learning_rate": 0.1} if kind == "softmax" else {}
        stages.append(Stage(kind, budget, **{**own, **(settings if part is parts[-1] else {})}))
    return stages


def augment(rows, rng, faces, args):
    """Draws for rows of any shape: what `lfw_heads.augmented` takes."""
    sides = np.array(faces["images"].shape[1:3]) - args.image_size + 1
    top, left = (rng.integers(0, side, rows.shape, np.int32) for side in sides)
    return {"rows": rows.astype(np.int32), "top": top, "left": left, "flip": rng.random(rows.shape) < 0.5}


def people_draws(count, rng, faces, args):
    """Draws of `count` batches of P x K."""
    labels, rows = np.asarray(faces["labels"]), []
    while len(rows) < count:
        images, _ = mining.sample_people(labels, PEOPLE, PER_PERSON, rng)
        rows.append(images)
    return augment(np.stack(rows), rng, faces, args)


def offline_draws(stage, rng, faces, args, embed):
    """Draws of batches of triplets, round after round, until the budget is spent."""
    labels, left, batch = np.asarray(faces["labels"]), stage.images, PEOPLE * PER_PERSON
    while left > 0:
        rows, counts = mining.sample_people(labels, *ROUND, rng)
        left -= EMBEDDING_COST * len(rows)
        seen = augment(rows, rng, faces, args)
        triplets = mining.select_triplets(embed(seen), counts, ROUND[0], 0.2, rng, stage.mining_rule).ravel()
        for start in range(0, len(triplets) - batch + 1, batch):
            if left <= 0:
                return
            left -= batch
            chosen = triplets[start:start + batch]
            yield {name: values[chosen][None] for name, values in seen.items()}


def train_stage(stage, weights, seed, faces, args, cache):
    """Train a stage from (values, others) of the backbone; returns the averaged ones and the last statistics."""
    batch = args.batch_size if stage.kind == "softmax" else PEOPLE * PER_PERSON
    steps = stage.images // batch // args.steps_per_call * args.steps_per_call
    settings = SimpleNamespace(**{**vars(args), "optimizer": stage.optimizer, "steps": steps})
    trainer, optimizer, state = first_state(stage, weights, seed, faces, settings)
    numbers = {"learning_rate": np.float32(stage.learning_rate), "weight_decay": np.float32(args.weight_decay)}
    names = ("xent", "accuracy") if stage.kind == "softmax" else STATISTICS
    key = (stage.kind, stage.optimizer, stage.softmax_loss_factor, stage.images)
    if key not in cache:
        cache[key] = _program(shared.make_step(trainer, optimizer, settings, names), faces["backbone"], args)
    some_steps, embed_batch = cache[key]

    def embed(seen):
        parts = [embed_batch(state[0][:len(weights[0])], state[1][:len(weights[1])], faces["images"],
                             {name: _padded(values[at:at + 300], 300) for name, values in seen.items()})
                 for at in range(0, len(seen["rows"]), 300)]
        return np.concatenate([np.asarray(part) for part in parts])[:len(seen["rows"])]

    done, history = 0, []
    for chunk in chunks(stage, seed, faces, settings, embed):
        times = np.arange(done, done + len(chunk["rows"]), dtype=np.float32)
        state, terms = some_steps(state, numbers, faces["images"], faces["labels"], chunk, times)
        done, history = done + len(times), [*history, terms]
    last = history[-max(1, len(history) // 10):]
    averaged = [np.asarray(value) for value in state[2]], [np.asarray(value) for value in state[1][:len(weights[1])]]
    return averaged, {"steps": done, **{name: float(np.mean([np.mean(terms[i]) for terms in last]))
                                        for i, name in enumerate(names)}}


def first_state(stage, weights, seed, faces, settings):
    """Trainer, optimizer, and (values, others, averages, slots) with the backbone's weights."""
    with jax.default_device(jax.devices("cpu")[0]):
        trainer = stage.trainer(faces["backbone"], faces["num_classes"], seed)
        optimizer = optimizers.create(settings, 1.0)
        variables, others = shared.variables_of(trainer)
        optimizer.build(variables)
        values = [*weights[0], *map(np.asarray, variables[len(weights[0]):])]
        other_values = [*weights[1], *map(np.asarray, others[len(weights[1]):])]
    slots = [np.asarray(slot) for slot in optimizer.variables]
    return trainer, optimizer, (values, other_values, values[:len(weights[0])], slots)


def chunks(stage, seed, faces, settings, embed):
    """Draws of some steps at a time."""
    rng = np.random.default_rng(seed)
    if stage.kind == "offline":
        yield from offline_draws(stage, rng, faces, settings, embed)
        return
    draws = (shared.draws(seed, settings, faces["images"]) if stage.kind == "softmax"
             else people_draws(settings.steps, rng, faces, settings))
    for at in range(0, settings.steps, settings.steps_per_call):
        yield {name: draw[at:at + settings.steps_per_call] for name, draw in draws.items()}


def _padded(values, size):
    return np.concatenate([values, np.repeat(values[-1:], size - len(values), axis=0)])


def _program(step, backbone, args):
    variables = backbone.trainable_variables + backbone.non_trainable_variables

    @functools.partial(jax.jit, donate_argnums=0)
    def some_steps(state, numbers, images, labels, draws, ts):
        return jax.lax.scan(lambda now, x: step(now, numbers, images, labels, *x), state, (draws, ts))

    @jax.jit
    def embed_batch(values, others, images, draw):
        with keras.StatelessScope(state_mapping=list(zip(variables, values + others, strict=True))):
            features = backbone(shared.augmented(images, draw, args.image_size), training=False)
        return features / jax.numpy.linalg.norm(features, axis=1, keepdims=True)

    return some_steps, embed_batch


def train(args):
    """Train every row with every seed; print figures of the unseen pairs after each stage."""
    print(f"device={jax.devices()[0].device_kind}", *(f"{name}={value}" for name, value in vars(args).items()))
    faces = shared.load(args)
    with jax.default_device(jax.devices("cpu")[0]):
        networks = [shared.new_backbone(seed, args) for seed in range(args.seeds)]
        faces["first_weights"] = [tuple([np.asarray(v) for v in variables] for variables in (
            network.trainable_variables, network.non_trainable_variables)) for network in networks]
    faces["backbone"] = networks[0]
    embed, cache, trained = shared.make_embed(networks[0], faces["pair_images"]), {}, {}
    for row in args.rows:
        figures, begin = [], time.perf_counter()
        for seed in range(args.seeds):
            weights, path = faces["first_weights"][seed], ()
            for stage in stages_of(row, args):
                path = (*path, dataclasses.astuple(stage))
                if (seed, path) not in trained:
                    trained[seed, path] = train_stage(stage, weights, seed, faces, args, cache)
                weights, statistics = trained[seed, path]
            stacked = [[np.asarray(value)[None] for value in values] for values in weights]
            report = evaluate(embed(*stacked)[0][faces["pairs"]], faces["same"], folds=faces["folds"],
                              distance="cosine", target_far=1e-2)
            figures.append([getattr(report, name) for name in FIGURES])
        mean, spread = np.mean(figures, axis=0), np.std(figures, axis=0)
        print(f"{row:45}", *(f"{name} {m:.3f}±{s:.3f}" for name, m, s in zip(FIGURES, mean, spread, strict=True)),
              *(f"{name} {value:.3g}" for name, value in statistics.items()),
              f"{time.perf_counter() - begin:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0],
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("packed", help="file of lfw_heads.py pack")
    parser.add_argument("--rows", nargs="+", default=["softmax", "softmax+semi_hard"], help="what to train")
    for name, default in {
            "backbone": "small", "image_size": 96, "embedding_size": 128, "keep_probability": 1.0, "steps": 3400,
            "batch_size": 64, "seeds": 1, "warmup_steps": 104, "weight_decay": 5e-4, "clip_norm": 0.0,
            "moving_average_decay": 0.999, "label_noise": 0.0, "steps_per_call": 50}.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=" ")
    parser.set_defaults(tf1_optimizers=False, products=False)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
