"""A recipe on LFW alone, trained by JAX: seed by seed on View 1, or fold by fold on View 2.

    pip install jax[cuda12] keras opencv-python-headless
    PYTHONPATH=. python benchmarks/lfw_views.py lfw_112 lfw_protocol --seeds 1 2 3 --processes 8
    PYTHONPATH=. python benchmarks/lfw_views.py lfw_112 lfw_protocol --view 2 --seeds 1 --processes 10

Network, head, changes of the images, rates and protocol are the package's; TensorFlow is not needed. Other flags are
those of train_softmax.py and win over the recipe. View 1 trains on the people of peopleDevTrain.txt and verifies the
pairs of pairsDevTest.txt. View 2 trains for each fold of people.txt on the people of the nine others, and verifies the
fold's pairs of pairs.txt; the threshold is that of the seed's network on View 1, or the best for the other nine folds'.

A process trains one network at a time; a network this small leaves most of a GPU to others, above all under
`nvidia-cuda-mps-control -d`.
"""

import argparse
import concurrent.futures
import functools
import multiprocessing
import os
from pathlib import Path

import cv2
import numpy as np

from benchmarks.apart import check_apart
from tf_facenet import config, data
from tf_facenet.data.augment import NUM_DRAWS, Augmentation, change
from tf_facenet.data.pairs import read_pairs
from tf_facenet.evaluation.metrics import pair_distances
from tf_facenet.evaluation.verification import evaluate
from tf_facenet.options import SoftmaxOptions

THREADS = 2  # of a process, that change images
CHUNK = 512  # images that are embedded at a time


class Lfw:
    """The images of LFW as a recipe crops them."""

    def __init__(self, folder, protocol, options):
        self.folder, self.protocol, self.options = folder, protocol, options
        self.faces = data.load(folder)
        paths = list(map(str, self.faces.samples))
        self.pixels = np.stack([crop(cv2.imread(path)[..., ::-1], options) for path in paths])
        self.rows = {path: row for row, path in enumerate(paths)}

    def verify(self, seed, fold=None):
        """Embeddings [2P, D] of the images of the pairs of View 1, or of a fold of View 2, and the `Pairs`."""
        people, pairs = people_for(self.protocol, fold), pairs_of(self.protocol, self.folder, fold)
        kept = np.isin(self.faces.names, people)[self.faces.labels]
        training = self.faces.select(kept)
        check_apart(training, pairs)
        backbone = train(self.options, self.pixels[kept], training.labels, seed)
        return embed(backbone, self.pixels[[self.rows[path] for path in pairs.images]]), pairs


def people_for(protocol, fold=None):
    """Names of the people to train on for View 1, or for a fold of View 2."""
    parts = []
    name = "peopleDevTrain.txt" if fold is None else "people.txt"
    for line in Path(protocol, name).read_text(encoding="utf-8").splitlines():
        person, *count = line.split("\t")
        if count:
            parts[-1].append(person)
        else:  # the number of the people that follow, or of the parts
            parts.append([])
    return sum((part for place, part in enumerate(filter(None, parts)) if place != fold), [])


def pairs_of(protocol, folder, fold=None):
    """`Pairs` of View 1, or of a fold of View 2."""
    if fold is None:
        return read_pairs(Path(protocol, "pairsDevTest.txt"), folder)
    pairs = read_pairs(Path(protocol, "pairs.txt"), folder)
    return pairs.select(pairs.folds == fold)


def crop(image, options):
    """The part of an image that the recipe sees, [H, W, 3]."""
    height, width = np.broadcast_to(options.image_size, 2)
    top, left = (int(share * (rest - side)) for share, rest, side in zip(
        options.crop, image.shape, (height, width), strict=False))
    return image[top:top + height, left:left + width]


def epochs(options, pixels, labels, plan, seed):
    """Images uint8 [S, B, H, W, 3] and labels [S, B] of the S steps of each epoch, shuffled and changed."""
    rng, augmentation = np.random.default_rng(seed), Augmentation.of(options)

    def batch(rows, draws):
        images, flipped = pixels[rows], draws[:, 0] < 0.5 * options.random_flip
        images[flipped] = images[flipped, :, ::-1]
        return change(images, augmentation, draws[:, 1:])

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for _ in range(plan.epochs):
            rows = rng.permutation(len(labels))[:plan.epoch_size * options.batch_size]
            rows = rows.reshape(plan.epoch_size, options.batch_size)
            draws = rng.random((*rows.shape, 1 + NUM_DRAWS), np.float32)
            yield np.stack(list(pool.map(batch, rows, draws))), labels[rows]


def train(options, pixels, labels, seed):
    """A backbone with averaged weights, trained on images uint8 [N, H, W, 3] of people [N].

    Raises:
        ValueError: the recipe has another optimizer, or terms of the loss, than are known here.
    """
    import jax
    import keras

    from benchmarks.gpu import dense_step, variables_of
    from tf_facenet import backbones, heads
    from tf_facenet.training import schedules
    from tf_facenet.training.trainer import FaceTrainer

    if options.optimizer != "MOM" or options.center_loss_factor or options.prelogits_norm_loss_factor:
        raise ValueError("expected --optimizer MOM, without center loss and prelogits norm")
    keras.utils.set_random_seed(seed)
    backbone = backbones.create(options.model_def, options.image_size, options.embedding_size,
                                **options.backbone_options)
    head = heads.create(options.head, labels.max() + 1, options.embedding_size, **options.head_options)
    trainer = FaceTrainer(backbone, head, weight_decay=options.weight_decay)
    plan = schedules.plan(options, len(labels))
    optimizer = keras.optimizers.SGD(plan.learning_rate, momentum=0.9, nesterov=True,
                                     global_clipnorm=options.clip_norm or None)
    optimizer.build(trainer.trainable_variables)
    groups = variables_of(trainer, optimizer)
    state = [[variable.value for variable in group] for group in groups]
    run = epoch_of(averaging(dense_step(trainer, optimizer), options.moving_average_decay))
    carried = (state, state[0])
    for images, people in epochs(options, pixels, labels, plan, seed):
        carried, _ = run(carried, (images, people))
    (_, others, _), averages = jax.block_until_ready(carried)
    for variable, value in zip(groups[0] + groups[1], averages + others, strict=True):
        variable.assign(value)
    return backbone


def averaging(step, limit):
    """A step that also follows the weights, as `averages.WeightAverage` does."""
    from jax import numpy as jnp

    def averaged(carried, batch):
        state, averages = carried
        count = state[2][0].astype("float32")  # the optimizer's first variable
        decay = jnp.minimum(limit, (1 + count) / (10 + count)) if limit else 0.0
        (new, _), loss = step((state, None), *batch)
        averages = [decay * average + (1 - decay) * value for average, value in zip(
            averages, state[0] if limit else new[0], strict=True)]
        return (new, averages), loss

    return averaged


def epoch_of(step):
    """The step for all batches of an epoch. XLA compiles one loop, but on a CPU, whose convolutions crawl in loops."""
    import jax

    if jax.default_backend() != "cpu":
        return jax.jit(lambda carried, batches: jax.lax.scan(step, carried, batches))
    step = jax.jit(step)

    def run(carried, batches):
        for batch in zip(*batches, strict=True):
            carried, loss = step(carried, batch)
        return carried, loss

    return run


def embed(backbone, pixels):
    """Sums of the features of images and of their mirror images [N, D]."""
    return sum(backbone.predict(images, CHUNK, verbose=0) for images in (pixels, pixels[:, :, ::-1]))


@functools.cache
def lfw(folder, protocol, *arguments):
    """The images, read once in a process."""
    cv2.setNumThreads(1)
    return Lfw(folder, protocol, config.parse(SoftmaxOptions, arguments))


def view_1_of(source, seed):
    """`Report` of a seed; distances are angles."""
    embeddings, pairs = lfw(*source).verify(seed)
    return evaluate(embeddings, pairs.same, folds=pairs.folds, distance="cosine", target_far=0.01)


def view_2_of(source, seed, fold):
    """Angles [P] of the pairs of a fold, and whether they show one person."""
    embeddings, pairs = lfw(*source).verify(seed, fold)
    return pair_distances(embeddings, "cosine")[0], pairs.same


def view_1(pool, source, seeds):
    """Print a line for each seed, and their mean; gives the thresholds."""
    reports = []
    for seed, report in zip(seeds, pool.map(functools.partial(view_1_of, source), seeds), strict=True):
        reports.append(report)
        print(f"View 1, seed {seed}: accuracy {report.accuracy:.4f} ± {report.accuracy_std:.4f}, VAL {report.val:.3f} "
              f"@ FAR {report.far:.4f}, EER {report.eer:.3f}, threshold {report.threshold:.4f}", flush=True)
    print(f"View 1, mean of {len(seeds)}: {np.mean([report.accuracy for report in reports]):.4f}")
    return [report.threshold for report in reports]


def view_2(pool, source, seed, threshold):
    """Print the accuracy of each fold, their mean and its standard error, at two thresholds."""
    folds = list(pool.map(functools.partial(view_2_of, source, seed), range(10)))
    rows = [np.array([accuracy(*fold, threshold) for fold in folds]), np.array([
        accuracy(*fold, best_threshold(folds[:place] + folds[place + 1:])) for place, fold in enumerate(folds)])]
    for name, row in zip(("View 1's threshold", "the other folds'"), rows, strict=True):
        print(f"View 2, seed {seed}, {name}: {row.mean():.4f} ± {row.std(ddof=1) / np.sqrt(len(row)):.4f} "
              f"({' '.join(f'{value:.3f}' for value in row)})", flush=True)


def accuracy(distances, same, threshold):
    return np.mean((distances < threshold) == same)


def best_threshold(folds):
    distances, same = map(np.concatenate, zip(*folds, strict=True))
    return max(np.arange(0, 1, 0.001), key=lambda threshold: accuracy(distances, same, threshold))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lfw_dir")
    parser.add_argument("protocol", help="folder of LFW's people and pairs files")
    parser.add_argument("--view", type=int, default=1, choices=(1, 2))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--recipe", default="lfw_view1")
    args, more = parser.parse_known_args()
    os.environ.update({"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"})  # of the processes
    source = (args.lfw_dir, args.protocol, "--recipe", args.recipe, "--data_dir", args.lfw_dir, *more)
    with concurrent.futures.ProcessPoolExecutor(args.processes, multiprocessing.get_context("spawn")) as pool:
        thresholds = view_1(pool, source, args.seeds)
        if args.view == 2:
            for seed, threshold in zip(args.seeds, thresholds, strict=True):
                view_2(pool, source, seed, threshold)


if __name__ == "__main__":
    main()
