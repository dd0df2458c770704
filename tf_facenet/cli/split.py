"""Split a folder by people: to train on some and to verify on pairs of the others."""

from dataclasses import dataclass

from tf_facenet.cli.pairs import PairsOptions
from tf_facenet.config import option, positional
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options(PairsOptions):
    """Split a folder by people: to train on some and to verify on pairs of the others."""

    folder: str = positional("folder with one sub-folder per person")
    validation: float = option(0.1, "share of the people for validation")
    out: str = option(".", "folder for people_train.txt, people_validation.txt and pairs_validation.txt", short="o",
                      writes="folder")


def run(options):
    """Read the images, split the people, and write both lists and the pairs."""
    import shlex
    from pathlib import Path

    from tf_facenet import logs
    from tf_facenet.cli import pairs
    from tf_facenet.data import people, prepare

    faces = prepare.folder_faces(options.folder)
    logs.import_tensorflow()
    faces = prepare.readable_faces(faces, options.quiet)
    parts = dict(zip(("train", "validation"), faces.split_people(options.validation, options.seed), strict=True))
    folder = Path(options.out)
    lines = pairs.write(parts["validation"], options, folder / "pairs_validation.txt")
    for name, part in parts.items():
        people.write_people(folder / f"people_{name}.txt", part)
        lines.append(f"{folder / f'people_{name}.txt'}: {part.num_classes} people with {len(part)} images")
    command = ["train_softmax.py", "--data_dir", options.folder, "--people_file", folder / "people_train.txt",
               "--lfw_dir", options.folder, "--lfw_pairs", folder / "pairs_validation.txt"]
    say(*lines, f"Train: {shlex.join(map(str, command))}")
