"""Who is it, and who belongs together: classifiers and clusters of the package on embeddings of several networks.

    python benchmarks/people.py embed mobilefacenet.keras lfw_112 mobilefacenet.npz --crop left
    python benchmarks/people.py embed runs/<time> lfw_112 small.npz --crop left --people_file peopleDevTest.txt
    python benchmarks/people.py classify mobilefacenet.npz small.npz
    python benchmarks/people.py cluster mobilefacenet.npz small.npz
    python benchmarks/people.py size --people 10000

`classify` trains on 1, 2, 5 and 20 images of each person, or on a mixture, and asks for others of theirs and of
strangers. `cluster` halves the people: on one half the scale of the threshold is chosen, the other half is reported.
"""

import argparse
import resource
import time

import numpy as np
from sklearn.metrics import adjusted_rand_score

from tf_facenet import data
from tf_facenet.inference.classifier import CLASSIFIERS, Classifier
from tf_facenet.inference.clustering import METHODS, NOBODY, cluster, linking_distance

COUNTS = ((1,), (2,), (5,), (20,), (1, 2, 5, 20))  # images of a person, in turn
MOST_KNOWN, MOST_ASKED = 400, 10  # people; images of each
FAR = 0.01  # strangers that are taken for somebody
BINS = 10  # of the calibration error
SCALES = np.arange(0.7, 1.31, 0.05)
THRESHOLD_FAR = 0.001  # that of tf-facenet threshold
ALL = 10**6
FOLDERS = {  # people, images of each, and how often drawn
    "60 people of 2 to 20": (60, 2, 20, 3), "20 people of 10 to 50": (20, 10, 50, 3),
    "600 people of 1 to 4": (600, 1, 4, 3), "everybody": (ALL, 1, ALL, 1)}


def embed(args):
    from tf_facenet.data.people import listed
    from tf_facenet.inference.embedder import Embedder

    faces = data.load(args.data_dir)
    if args.people_file:
        faces = faces.select(listed(args.people_file, faces.names)[faces.labels])
    place = {"left": (0.5, 0.0), "middle": (0.5, 0.5)}[args.crop]
    np.savez(args.out, rows=Embedder.load(args.model, place=place).embed(faces.samples), labels=faces.labels)


def load(path):
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["rows"], np.unique(arrays["labels"], return_inverse=True)[1]


def markdown(header, lines):
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def classify(args):
    for path in args.embeddings:
        rows, labels = load(path)
        lines = [line for counts in COUNTS for line in compare_classifiers(rows, labels, counts)]
        print(path, markdown(("images each", "people", "classifier", "accuracy", "log loss", "calibration error",
                           f"recognised at {FAR:.0%}", "strangers accepted", "seconds"), lines), sep="\n\n")


def compare_classifiers(rows, labels, counts):
    """A line for each classifier, on people of whom some images are left, and all others as strangers."""
    rng = np.random.default_rng(0)
    people = rng.permutation(labels.max() + 1)
    enough = np.bincount(labels)[people] > (max(counts) if len(counts) == 1 else 2)
    known = people[enough][:min(MOST_KNOWN, len(people) // 2)]
    train, ask = [], []
    for place, person in enumerate(known):
        own = rng.permutation(np.flatnonzero(labels == person))
        count = min(counts[place % len(counts)], len(own) - 1)
        train.append(own[:count])
        ask.append(own[count:count + MOST_ASKED])
    strangers = rows[~np.isin(labels, known)]
    for name in CLASSIFIERS:
        begin = time.perf_counter()
        places = np.repeat(np.arange(len(known)), list(map(len, train)))
        made = Classifier.train(rows[np.concatenate(train)], places, list(map(str, known)), classifier=name)
        seconds = time.perf_counter() - begin
        targets = np.repeat(np.arange(len(known)), list(map(len, ask)))
        numbers = measure(made, rows[np.concatenate(ask)], targets, strangers)
        yield ("mixed" if len(counts) > 1 else counts[0], len(known), name,
               *(f"{number:.3f}" for number in numbers), f"{seconds:.2f}")


def measure(made, rows, targets, strangers):
    """Accuracy, log loss, calibration error, and what of known and unknown people is accepted."""
    classes, probabilities, near = made.predict(rows)
    far = made.predict(strangers)[2]
    right = classes == targets
    logits = made.sharpness * (rows @ made.planes.T + made.offsets)
    of_targets = logits[np.arange(len(rows)), targets] - logits.max(axis=1)
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    error = np.abs(np.bincount(bins, probabilities - right, BINS)).sum() / len(rows)
    recognised = right & (near > np.quantile(far, 1 - FAR))
    return (right.mean(), -(of_targets + np.log(probabilities)).mean(), error, recognised.mean(),
            (far >= made.threshold).mean())


def cluster_all(args):
    chosen, reported = {}, []
    for path in args.embeddings:
        rows, labels = load(path)
        people = np.random.default_rng(1).permutation(labels.max() + 1)
        threshold = verification_threshold(rows, labels, people[::2])
        print(f"{path}: threshold {threshold:.3f}")
        for name, spec in FOLDERS.items():
            choose = list(folders(labels, people[::2], *spec))
            for method in ("average", "dbscan"):
                indices = [mean_index(rows, labels, choose, method, min(2, scale * threshold)) for scale in SCALES]
                chosen.setdefault(method, []).append((path, name, *indices))
            report = list(folders(labels, people[1::2], *spec))
            reported.append((path, name, round(np.mean(list(map(len, report)))), *(
                f"{mean_index(rows, labels, report, method, linking_distance(threshold, method)):.3f}"
                for method in METHODS)))
    print(markdown(("chosen on one half", "scale", "", *(f"{scale:.2f}" for scale in SCALES)), [
        (method, *line[:2], *(f"{value:.3f}" for value in line[2:])) for method, lines in chosen.items()
        for line in [*lines, ("mean", "", *np.mean([line[2:] for line in lines], axis=0))]]))
    print(markdown(("reported on the other", "folder", "images", *METHODS), reported))


def verification_threshold(rows, labels, people):
    """Distance that a share of the pairs of different people is below."""
    some = np.random.default_rng(2).permutation(np.flatnonzero(np.isin(labels, people)))[:4000]
    products = rows[some] @ rows[some].T
    different = labels[some][:, None] != labels[some]
    return float(np.sqrt(2 - 2 * np.quantile(products[different], 1 - THRESHOLD_FAR)))


def folders(labels, people, count, least, most, draws):
    """Rows of so many people with so many images each."""
    rng = np.random.default_rng(3)
    enough = people[np.bincount(labels)[people] >= least]
    for _ in range(draws):
        yield np.concatenate([rng.permutation(np.flatnonzero(labels == person))[:rng.integers(least, most + 1)]
                              for person in rng.permutation(enough)[:count]])


def mean_index(rows, labels, folders_of_rows, method, threshold):
    """Adjusted Rand index, the mean over folders; images of nobody are people of one image."""
    def index(some):
        found = cluster(rows[some], method, threshold)
        alone = found == NOBODY
        found[alone] = found.max() + 1 + np.arange(alone.sum())
        return adjusted_rand_score(labels[some], found)

    return np.mean(list(map(index, folders_of_rows)))


def size(args):
    """Time and memory of a classifier of many people, and of clusters of their images: random directions."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(args.people), args.images)
    rows = rng.standard_normal((args.people, args.width), np.float32)[labels]
    rows += 0.8 * rng.standard_normal(rows.shape, np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for name, work in ((args.classifier, lambda: Classifier.train(
            rows, labels, list(map(str, range(args.people))), classifier=args.classifier)),
            (args.method, lambda: cluster(rows, args.method, 1.1))):
        begin = time.perf_counter()
        work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}: {len(rows)} images of {args.people} people, {args.width} numbers: "
              f"{time.perf_counter() - begin:.1f} s, peak of the process {peak:.0f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("embed")
    for name in ("model", "data_dir", "out"):
        command.add_argument(name)
    command.add_argument("--crop", default="middle", choices=("left", "middle"))
    command.add_argument("--people_file")
    command.set_defaults(run=embed)
    for name, run in (("classify", classify), ("cluster", cluster_all)):
        command = commands.add_parser(name)
        command.add_argument("embeddings", nargs="+")
        command.set_defaults(run=run)
    command = commands.add_parser("size")
    for name, default in (("people", 10_000), ("images", 5), ("width", 512)):
        command.add_argument(f"--{name}", type=int, default=default)
    command.add_argument("--classifier", default="mean", choices=CLASSIFIERS)
    command.add_argument("--method", default="average", choices=METHODS)
    command.set_defaults(run=size)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
