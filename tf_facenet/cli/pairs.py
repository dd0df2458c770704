"""Make a pairs.txt of one's own faces, to verify networks on."""

from dataclasses import dataclass

from tf_facenet.config import option, positional
from tf_facenet.options.bounds import at_least
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class PairsOptions:
    """The pairs."""

    folds: int = option(10, "number of folds, which share no person")
    pairs: int = option(300, "same pairs in each fold, and as many different ones")
    seed: int = option(666, "seed of everything random")
    quiet: bool = option(False, "no progress bar")

    def __post_init__(self):
        """Raise ValueError for numbers that cannot work."""
        for name, least in (("folds", 2), ("pairs", 1), ("seed", 0)):
            at_least(self, least, name)


@dataclass(kw_only=True)
class Options(PairsOptions):
    """Make a pairs.txt of one's own faces, to verify networks on."""

    folder: str = positional("folder with one sub-folder per person")
    out: str = option("pairs.txt", "file to write", short="o", writes="file")


def run(options):
    """Read the images, choose pairs and write them."""
    from tf_facenet import logs
    from tf_facenet.data import prepare

    faces = prepare.folder_faces(options.folder)
    logs.import_tensorflow()
    say(*write(prepare.readable_faces(faces, options.quiet), options, options.out))


def write(faces, options, path):
    """Write pairs of the faces; returns lines about them and how to use them."""
    import shlex

    from tf_facenet.data import pairs_making

    rows = pairs_making.make_pairs(faces, options.folds, options.pairs, options.seed)
    as_lfw = pairs_making.write_pairs(path, faces, rows, options.folder)
    others = "Not all images are called <name>/<name>_0001.jpg: the pairs name their files, which facenet cannot read"
    command = ["validate_on_lfw.py", options.folder, "RUN", "--lfw_pairs", path, "--lfw_nrof_folds", options.folds]
    return [*[others] * (not as_lfw), pairs_making.summary(path, faces, rows),
            f"Verify: {shlex.join(map(str, command))}"]
