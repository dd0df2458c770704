"""What the recipe small_data makes of twenty people with five images each, and whether it forgets all others.

    tf-facenet convert 068.ckpt --backbone mobilefacenet casia.keras
    PYTHONPATH=. python benchmarks/small_data.py casia.keras lfw_112 pairs.txt [more flags of train_softmax.py]

The people are those with at least ten images whom the pairs name least. All pairs that name them are left out, so
that nobody is both trained on and verified. Rows: the share of the people's other images whose nearest of the twenty
centres (mean of the five images) is the right one, and by a support vector machine; the share that is right and above
the cosine that one of a thousand images of strangers reaches; the same with images of 20 pixels, enlarged; accuracy and
validation rate on the pairs.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

import train_softmax
from benchmarks.apart import check_apart, people_of
from tf_facenet import data
from tf_facenet.data import images
from tf_facenet.data.pairs import read_pairs
from tf_facenet.evaluation.verification import evaluate
from tf_facenet.inference.classifier import Classifier, class_centers
from tf_facenet.inference.embedder import Embedder

PEOPLE, EACH, AT_LEAST = 20, 5, 10
LEFT = (0.5, 0.0)  # faces on the 112x96 template in images of 112x112
SMALL = 20
FAR = 1e-3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("lfw_dir")
    parser.add_argument("pairs")
    options, more = parser.parse_known_args()
    pairs = read_pairs(options.pairs, options.lfw_dir)
    training, probes = choose(data.load(options.lfw_dir), pairs)
    others = without(pairs, training.names)
    check_apart(training, others)
    print(f"{len(training)} images of {', '.join(training.names)}; {len(probes)} other images of theirs; "
          f"{len(others)} of {len(pairs)} pairs name none of them")
    before = measure(options.model, training, probes, others)
    with tempfile.TemporaryDirectory() as folder:
        model = train(options.model, training, Path(folder), more)
        after = measure(model, training, probes, others)
    print(f"{'':34}{'before':>10}{'after':>10}")
    for name in before:
        print(f"{name:34}{before[name]:10.4f}{after[name]:10.4f}")


def choose(faces, pairs, people=PEOPLE, each=EACH, at_least=AT_LEAST):
    """The first images of some people, to train on, and their others: two `Faces`."""
    counts = np.bincount(faces.labels, minlength=faces.num_classes)
    named = dict(zip(*np.unique(people_of(pairs).ravel(), return_counts=True), strict=True))
    order = sorted(np.flatnonzero(counts >= at_least), key=lambda label: (named.get(faces.names[label], 0), label))
    chosen = np.isin(faces.labels, order[:people])
    faces = faces.select(chosen)
    firsts = np.searchsorted(faces.labels, np.arange(faces.num_classes))  # images come person after person
    is_first = np.arange(len(faces)) - firsts[faces.labels] < each
    return faces.select(is_first), faces.select(~is_first)


def without(pairs, names):
    """The pairs that show none of these people."""
    return pairs.select(~np.isin(people_of(pairs), names).any(axis=1))


def train(model, training, folder, more):
    """The model that the recipe makes of these images."""
    for sample, label in zip(training.samples, training.labels, strict=True):
        person = folder / "faces" / training.names[label]
        person.mkdir(parents=True, exist_ok=True)
        os.symlink(Path(sample).absolute(), person / Path(sample).name)
    status = train_softmax.main([
        "--recipe", "small_data", "--pretrained_model", model, "--data_dir", str(folder / "faces"), "--crop", "left",
        "--models_base_dir", str(folder / "runs"), *more])
    if status:
        sys.exit(status)
    run, = (folder / "runs").iterdir()
    return run


def measure(model, training, probes, pairs):
    """Figures of a model by name."""
    embedder = Embedder.load(model, place=LEFT)
    known = embedder.embed(training.samples)
    machine = Classifier.train(known, training.labels, training.names, classifier="svm")
    centers = class_centers(known, training.labels, training.num_classes)
    paired = embedder.embed(pairs.images)
    strangers = np.sort((paired @ centers.T).max(axis=1))
    figures = {}
    for title, samples in (("", probes.samples), (f", {SMALL} pixels", small(probes.samples, embedder.image_size))):
        embeddings = embedder.embed(samples)
        similarities = embeddings @ centers.T
        right = similarities.argmax(axis=1) == probes.labels
        accepted = similarities.max(axis=1) > np.quantile(strangers, 1 - FAR)
        figures |= {f"nearest centre{title}": right.mean(),
                    f"support vector machine{title}": (machine.predict(embeddings)[0] == probes.labels).mean(),
                    f"right and no stranger{title}": (right & accepted).mean()}
    report = evaluate(paired, pairs.same, folds=pairs.folds)
    return {**figures, "pairs of others: accuracy": report.accuracy, "validation rate @ FAR 0.001": report.val}


def small(samples, image_size):
    """Images shrunk to `SMALL` rows and enlarged again, uint8 [N, H, W, 3]."""
    height, width = image_size
    whole = [images.crop(images.read(sample), image_size, place=LEFT).numpy() for sample in samples]
    shrunk = [cv2.resize(image, (SMALL * width // height, SMALL), interpolation=cv2.INTER_AREA) for image in whole]
    return np.stack([cv2.resize(image, (width, height)) for image in shrunk])


if __name__ == "__main__":
    main()
