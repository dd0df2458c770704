"""Run folders: where a training keeps its options, state, history and models."""

import dataclasses
import logging
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from tf_facenet import config
from tf_facenet.data import is_drawn, single_paths
from tf_facenet.files import atomic_write, remove_leftovers
from tf_facenet.locks import lock
from tf_facenet.training import cluster

logger = logging.getLogger(__name__)

RULE = "\n--------------------\n"


@dataclasses.dataclass(frozen=True)
class Run:
    """The folders of one training run.

    Attributes:
        folder: options.json, revision_info.txt, faces.json, checkpoints/, model.keras, metadata.json,
            bad_files.txt, lfw_result.txt.
        log_folder: TensorBoard events, history.csv, curves.png; the same folder unless
            ``--logs_base_dir`` names another.
    """

    folder: Path
    log_folder: Path

    @property
    def checkpoints(self):
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def faces(self):
        """The file that tells the faces of the run from others."""
        return self.folder / "faces.json"

    @property
    def model(self):
        """The model file: averaged weights if they are on."""
        return self.folder / "model.keras"


def start(options):
    """Make a new run folder, named after the time, and write the options and the revision there."""
    base, stamp = Path(options.models_base_dir).expanduser(), time.strftime("%Y%m%d-%H%M%S")
    for attempt in range(1000):
        folder = base / (stamp if not attempt else f"{stamp}-{attempt}")
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    _take(folder)
    run = _run(folder, options)
    run.log_folder.mkdir(parents=True, exist_ok=True)
    config.save(options, folder / "options.json")
    with atomic_write(folder / "revision_info.txt") as temporary:
        temporary.write_text(revision(), encoding="utf-8")
    return run


def start_together(options, workers):
    """`start` on the chief; the other workers learn the folder from it and write nothing there."""
    folder, *_ = workers.exchange(str(start(options).folder) if workers.is_chief else "")
    return _run(Path(folder), options)


def _take(folder):
    """Raise OSError if another process trains in a run folder; from now on this one does, until it ends."""
    if not lock(folder / "lock"):
        raise OSError(f"{folder} is being trained by another process. Wait until it ends, or stop it, then go on with "
                      f"--resume {folder}")


def _run(folder, options):
    base = Path(options.logs_base_dir).expanduser() if options.logs_base_dir else folder.parent
    return Run(folder, base / folder.name)


def resume(options, given):
    """Take up an old run.

    Args:
        options: options of the command line, with ``resume``.
        given: names of the options that the command line sets explicitly.

    Returns:
        ``(run, options)``: the old run's options with the given ones that may change.

    Raises:
        OSError: not a run folder, or another process trains there.
        ValueError: a given option differs from the run's and would change its course.
    """
    folder = Path(options.resume).expanduser().resolve()  # "." and links have other names
    if not (folder / "options.json").is_file():
        raise OSError(f"--resume {folder} is not a run folder: it has no options.json. Name a "
                      f"folder inside {options.models_base_dir!r}")
    old = config.load(type(options), folder / "options.json")
    fixed, free, of_process = (config.names(type(options), "resume", kind)
                               for kind in (config.FIXED, config.FREE, config.OF_PROCESS))
    for name in sorted(given & fixed):
        before, now = getattr(old, name), getattr(options, name)
        if before != now:
            raise ValueError(f"--{name} was {before!r} in {folder} and cannot become {now!r} on "
                             "the way; leave it out, or start a new run")
    changes = {name: getattr(options, name) for name in (given & free) | of_process}
    longer = changes.get("max_nrof_epochs", old.max_nrof_epochs) != old.max_nrof_epochs
    if longer and old.learning_rate_decay != "exponential":
        raise ValueError(f"--max_nrof_epochs cannot change: the {old.learning_rate_decay} decay of "
                         f"{folder} ends at epoch {old.max_nrof_epochs}")
    options = dataclasses.replace(old, **changes)
    _check_places(options, folder)
    own = cluster.find(options)
    if own is None or own.is_chief:  # the others share the folder
        _take(folder)
        for place in (folder, folder / "checkpoints"):
            remove_leftovers(place)
    return _run(folder, options), options


def _check_places(options, folder):
    """Raise OSError if the faces of a run are not where they were, seen from here: they may be given anew."""
    for name in ("data_dir", "lfw_dir"):
        for path in single_paths(getattr(options, name) or []):
            if not (is_drawn(path) or os.path.exists(os.path.expanduser(path))):
                raise OSError(f"--{name} of {folder} is {path!r}, and from {os.getcwd()!r} nothing is there. Say where "
                              f"it is now: --resume {folder} --{name} PATH")


def revision():
    """Content of facenet's revision_info.txt: arguments, TensorFlow version, git hash, git diff."""
    import tensorflow as tf

    git = ["git", "-C", os.path.dirname(os.path.abspath(__file__))]
    parts = [f"arguments: {shlex.join(sys.argv)}", f"tensorflow version: {tf.__version__}",
             f"git hash: {_output([*git, 'rev-parse', 'HEAD'])}", _output([*git, "diff", "HEAD"])]
    return RULE.join(parts) + "\n"


def _output(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
