"""Pack, unpack, join and check training sets in insightface's record files."""

from dataclasses import dataclass

from tf_facenet.config import option, positional
from tf_facenet.files import check_target
from tf_facenet.lookup import lookup
from tf_facenet.terminal import say

SHOWN = 20  # faults


def pack(options):
    """Write a folder of people as a record file."""
    from tf_facenet.data import packing

    faces = packing.pack(options.paths[0], options.paths[1], options.quiet)
    say(f"{len(faces):,} images of {faces.num_classes:,} people: {options.paths[1]}")


def unpack(options):
    """Write a record file as a folder of people."""
    from tf_facenet.data import packing

    say(f"{packing.unpack(*options.paths, options.quiet):,} images: {options.paths[1]}")


def merge(options):
    """Write several sets as one record file."""
    from tf_facenet.data import packing

    out, *sources = options.paths
    faces = packing.merge(sources, out, options.dedupe, options.quiet)
    say(f"{len(faces):,} images of {faces.num_classes:,} people: {out}")


def index(options):
    """Write the missing index of a record file."""
    from tf_facenet.data import packing

    say("{}: {:,} records".format(*packing.write_index(options.paths[0])))


def info(options):
    """Say what a record file holds."""
    from tf_facenet.data import inspection, packing

    for word, value in inspection.describe(packing.existing(options.paths[0])).items():
        say(f"{word:16} {value}")


def verify(options):
    """Read everything and list what is wrong; that there is something is an error."""
    from tf_facenet import logs
    from tf_facenet.data import inspection, packing

    path = packing.existing(options.paths[0])
    logs.import_tensorflow()  # only this action and `bin` need it
    found = inspection.faults(path, options.quiet)
    say(*(f"{what}: {why}" for what, why in found[:SHOWN]))
    if found:
        raise ValueError(f"{path} has {len(found):,} faults, the first: {found[0][0]}: {found[0][1]}")
    say(f"{path} is good")


def bin_(options):
    """Write the pairs of a folder as a verification set."""
    from tf_facenet import logs
    from tf_facenet.data import bins, pairs, prepare

    found = pairs.load_pairs(options.paths[0], options.lfw_pairs)
    logs.import_tensorflow()
    prepare.check_pairs(found, options.quiet)
    bins.write_bin(options.paths[1], found)
    say(f"{len(found):,} pairs: {options.paths[1]}", *found.left_out())


ACTIONS = {  # name → function, its paths
    "pack": (pack, "FOLDER OUT"),
    "unpack": (unpack, "REC OUT"),
    "info": (info, "REC"),
    "verify": (verify, "REC"),
    "index": (index, "REC"),
    "merge": (merge, "OUT REC..."),
    "bin": (bin_, "IMAGES OUT.bin"),
}
WRITES = {"OUT": "folder", "OUT.bin": "file"}  # name of a path → what comes to be there


@dataclass(kw_only=True)
class Options:
    """Pack, unpack, join and check training sets in insightface's record files."""

    action: str = positional("; ".join(f"{name} {paths}" for name, (_, paths) in ACTIONS.items()))
    paths: list = positional("REC is a file *.rec or the folder of one; OUT a folder to write", several=True)
    dedupe: bool = option(False, "merge: people of equal names are one")
    lfw_pairs: str = option("pairs.txt", "bin: file of the pairs, also looked for in and beside IMAGES")
    quiet: bool = option(False, "no progress bar")

    def __post_init__(self):
        """Raise ValueError for an unknown action or a wrong number of paths."""
        paths = lookup(ACTIONS, self.action, "action")[1]
        wanted = paths.split()
        if len(self.paths) < len(wanted) or (len(self.paths) > len(wanted) and not paths.endswith("...")):
            raise ValueError(f"{self.action} takes {paths}, got {len(self.paths)} paths")
        for name, path in zip(wanted, self.paths, strict=False):
            if name in WRITES:
                check_target(path, WRITES[name])


def run(options):
    """Do what the action says."""
    ACTIONS[options.action][0](options)
