"""Find the faces in a folder of photographs and cut them out for training and validation."""

from dataclasses import dataclass

from tf_facenet.cli.shared import SMALLEST_FACES
from tf_facenet.config import option, positional
from tf_facenet.options.bounds import at_least, between
from tf_facenet.options.data import TEMPLATES
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options:
    """Find the faces in a folder of photographs and cut them out for training and validation."""

    input_dir: str = positional("folder with one sub-folder of photographs for each person")
    output_dir: str = positional("folder for the faces, of the same layout; those that it has are skipped",
                                 writes="folder")
    image_size: int = option(182, "side of the faces, without --template")
    margin: int = option(44, "pixels of the photograph added to the width and height of a face, without --template")
    template: str = option("", "turn and scale the faces onto a template, HEIGHTxWIDTH, instead of cutting a square",
                           choices=TEMPLATES)
    random_order: bool = option(False, "random order, so that several processes or machines can share the work")
    gpu_memory_fraction: float = option(1.0, "share of the GPU's memory for each process")
    detect_multiple_faces: bool = option(False, "all faces of a photograph, numbered, instead of one")
    choose: str = option("central", "which face: large and in the middle as in facenet, the largest, or the surest",
                         choices=("central", "largest", "score"))
    min_face_size: int = option(0, SMALLEST_FACES)
    batch_size: int = option(16, "photographs, of any sizes, that are looked at together")
    workers: int = option(1, "processes; one uses all cores but while it reads and writes files")
    quiet: bool = option(False, "no progress bar")

    def __post_init__(self):
        """Raise ValueError for values that cannot work."""
        at_least(self, 1, "image_size", "batch_size", "workers")
        at_least(self, 0, "min_face_size")
        between(self, 0.01, 1, "gpu_memory_fraction")
        if self.margin < 0:
            raise ValueError(f"--margin is {self.margin}; expected pixels, 0 or more")


def run(options):
    """Align what is not aligned, and say how many have no face."""
    import functools
    import random
    from pathlib import Path

    from tf_facenet import logs
    from tf_facenet.align import folder
    from tf_facenet.progress import Progress

    work = folder.plan(options.input_dir, options.output_dir)
    logs.import_tensorflow()
    from tf_facenet.align.recipe import Recipe
    from tf_facenet.data.check import write_bad_files
    from tf_facenet.files import atomic_write
    from tf_facenet.training.runs import revision

    target = Path(options.output_dir).expanduser()
    recipe = Recipe(options.image_size, options.margin, options.template,
                    options.detect_multiple_faces, options.choose, options.min_face_size, options.batch_size)
    recipe.note(target)
    left = folder.todo(work, recipe)
    if options.random_order:
        random.shuffle(left)
    with atomic_write(target / "revision_info.txt") as temporary:
        temporary.write_text(revision(), encoding="utf-8")
    done = len(work) - len(left)
    with Progress(len(work), "Aligning", options.quiet, start=done) as bar:
        faces, bad = folder.run(left, recipe, target, options.workers, functools.partial(_set_up, options),
                                lambda more: bar.update(done + more))
    write_bad_files(target / "bad_files.txt", bad)
    say(f"Total number of images: {len(work)}, of which {done} were aligned before",
        f"Number of successfully aligned images: {faces}")
    if bad:
        say(f"Images without a face: {len(bad)} of {len(left)}, listed in {target / 'bad_files.txt'}; the first: "
            f"{bad[0][1]}")


def _set_up(options):
    """Share the processor and the GPU among the processes. Must run before TensorFlow touches a device."""
    import os

    from tf_facenet import logs

    if options.workers > 1:
        logs.to_stdout(quiet=True)
        logs.import_tensorflow()
    import tensorflow as tf

    from tf_facenet.training.devices import limit_memory

    if options.workers > 1:
        tf.config.threading.set_intra_op_parallelism_threads(max(os.cpu_count() // options.workers, 1))
    limit_memory(tf.config.list_physical_devices("GPU"), options.gpu_memory_fraction)
