"""List images that lie far from their person: wrong labels, found by a run with sub-centres."""

from dataclasses import dataclass

from tf_facenet.config import option, positional
from tf_facenet.options.data import ImportOptions
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options(ImportOptions):
    """List images that lie far from their person: wrong labels, found by a run with sub-centres."""

    run: str = positional("run folder, trained with --sub_centers 2 or more")
    angle: float = option(75.0, "degrees from the dominant centre beyond which an image is listed")
    data_dir: str = option("", "training data, if it is not where it was")
    batch_size: int = option(100, "images per batch")
    quiet: bool = option(False, "no progress bar")

    def __post_init__(self):
        """Raise ValueError for an angle that cannot be."""
        if not 0 < self.angle < 180:
            raise ValueError(f"--angle is {self.angle}; expected degrees between 0 and 180, such as 75")


def run(options):
    """Embed the training images, write the lists and say how to go on."""
    import dataclasses
    from pathlib import Path

    from tf_facenet import config, logs
    from tf_facenet.backbones import own
    from tf_facenet.data import prepare
    from tf_facenet.options import SoftmaxOptions
    from tf_facenet.progress import Progress

    folder = Path(options.run)
    if not (folder / "options.json").is_file():
        raise OSError(f"{folder} is not a run folder: it has no options.json")
    trained = dataclasses.replace(config.load(SoftmaxOptions, folder / "options.json"), quiet=options.quiet)
    if trained.sub_centers < 2:
        raise ValueError(f"{folder} was trained with one centre a class, which takes wrong labels in; "
                         "train with --sub_centers 3 first")
    if options.data_dir:
        trained = dataclasses.replace(trained, data_dir=options.data_dir)
    faces = prepare.chosen_faces(trained)
    if isinstance(faces.samples[0], bytes):
        raise ValueError(f"--data_dir {trained.data_dir!r} has no files to list; expected a folder")
    logs.import_tensorflow()
    from tf_facenet.inference.embedder import Embedder
    from tf_facenet.training import cleaning

    faces, _ = prepare.training_faces(trained, faces)
    faces, _ = prepare.hold_out(faces, trained)
    centers = cleaning.read_centers(folder, faces.num_classes)
    embedder = Embedder.load(folder, options.batch_size, custom_objects=own.objects(options.import_))
    with Progress(len(faces), "Embedding", options.quiet) as bar:
        embeddings = embedder.embed(faces.samples, progress=bar.update)
    found = cleaning.save(cleaning.clean(embeddings, faces.labels, centers), faces, options.angle, folder)
    say(f"{found} of {len(faces)} images are farther than {options.angle:g} degrees from the dominant centre of their "
        f"person: {folder / cleaning.IMAGES}",
        f"Train without them, from the dominant centres: train_softmax.py --exclude_file {folder / cleaning.IMAGES} "
        f"--pretrained_model {folder}")
