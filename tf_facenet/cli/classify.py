"""Train a classifier of people on a model's embeddings, or name the people on images with it."""

from dataclasses import dataclass

from tf_facenet.cli.shared import FaceOptions
from tf_facenet.config import option, positional
from tf_facenet.files import check_target
from tf_facenet.options.bounds import between
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options(FaceOptions):
    """Train a classifier of people on a model's embeddings, or name the people on images with it."""

    mode: str = positional("train or predict (facenet's TRAIN and CLASSIFY)")
    data_dir: str = positional("folder with one sub-folder of images for each person; to predict, any folder of images")
    model: str = positional("run folder, .keras file or exported model")
    classifier_filename: str = positional(".npz file of the classifier, written or read")
    use_split_dataset: bool = option(False, "train on some images of each person, predict the others")
    min_nrof_images_per_class: int = option(20, "with --use_split_dataset: people with fewer images are left out")
    nrof_train_images_per_class: int = option(10, "with --use_split_dataset: images of each person that train")
    classifier: str = option("mean", "train: mean = the nearest mean embedding of a person, which one photograph "
                             "suffices for; svm = facenet's linear support vector machine", choices=("mean", "svm"))
    unknown_far: float = option(0.01, "train: share of strangers' faces that may be taken for known people")
    seed: int = option(666, "seed of the split")

    def __post_init__(self):
        """Raise ValueError for a share that cannot be."""
        super().__post_init__()
        between(self, 0, 1, "unknown_far")


def run(options):
    """Train or predict."""
    from tf_facenet.lookup import lookup

    act = lookup({"train": _train, "predict": _predict, "classify": _predict}, options.mode.lower(), "mode")
    return act(options)


def _train(options):
    from tf_facenet.cli import shared
    from tf_facenet.evaluation import rates
    from tf_facenet.inference.classifier import Classifier

    check_target(options.classifier_filename, "file")
    faces = _split(options)[0]
    embedder = shared.load_embedder(options.model, options)
    asked = f"Number of classes: {faces.num_classes}", f"Number of images: {len(faces)}"
    faces, embeddings, _, skipped = shared.embed_unit(embedder, faces, options)
    classifier = Classifier.train(embeddings, faces.labels, faces.names, embedder.metadata["model_id"],
                                  options.unknown_far, options.classifier)
    classifier.save(options.classifier_filename)
    say(*asked, f"Unknown below a cosine of {classifier.threshold:.3f} to everybody")
    if not rates.can_show(len(faces), options.unknown_far):
        say(f"{len(faces)} faces cannot show that a share of {options.unknown_far:g} of strangers' faces passes; the "
            f"smallest that they can is {rates.smallest_far(len(faces)):g}")
    say(f'Saved classifier model to file "{options.classifier_filename}"')
    return skipped.tell()


def _predict(options):
    import numpy as np

    from tf_facenet.cli import shared
    from tf_facenet.inference import metadata
    from tf_facenet.inference.classifier import Classifier

    classifier = Classifier.load(options.classifier_filename)
    metadata.check_made_by(classifier, options.model)
    faces = _split(options)[1]
    embedder = shared.load_embedder(options.model, options)
    classifier.check_model(embedder.metadata["model_id"])
    faces, embeddings, _, skipped = shared.embed_unit(embedder, faces, options)
    say(f'Loaded classifier model from file "{options.classifier_filename}"')
    classes, probabilities, similarities = classifier.predict(embeddings)
    known = similarities >= classifier.threshold
    for row, (label, probability) in enumerate(zip(classes, probabilities, strict=True)):
        answer = f"{classifier.names[label]}: {probability:.3f}"
        say(f"{row:4d}  {answer if known[row] else f'unknown (nearest {answer})'}  {faces.samples[row]}")
    own = np.array([classifier.names.index(name) if name in classifier.names else -1 for name in faces.names])
    if (own >= 0).any():
        right = np.where(own[faces.labels] >= 0, known & (classes == own[faces.labels]), ~known)
        say(f"Accuracy: {right.mean():.3f}")
    return skipped.tell()


def _split(options):
    """``(training, test)`` images; a folder without people is for prediction only."""
    import os

    import numpy as np

    from tf_facenet import data
    from tf_facenet.cli.shared import unnamed
    from tf_facenet.data.folders import image_files

    root = os.path.expanduser(options.data_dir)
    is_flat = os.path.isdir(root) and not any(os.path.isdir(os.path.join(root, name)) for name in os.listdir(root))
    if is_flat and options.mode.lower() != "train":
        return None, unnamed(image_files(options.data_dir))
    faces = data.load(options.data_dir)
    if not options.use_split_dataset:
        return faces, faces
    enough = faces.with_min_images(options.min_nrof_images_per_class)
    if not len(enough):
        raise ValueError(f"--use_split_dataset leaves out all {faces.num_classes} people: the largest has "
                         f"{np.bincount(faces.labels).max()} images, --min_nrof_images_per_class is "
                         f"{options.min_nrof_images_per_class}. Pass a smaller one")
    return enough.split_first(options.nrof_train_images_per_class, options.seed)
