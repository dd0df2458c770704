"""Say what is in a training set and what is odd about it: copies, wrong labels, unreadable files, alignment."""

from dataclasses import dataclass

from tf_facenet.config import option, positional
from tf_facenet.options.bounds import at_least
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options:
    """Say what is in a training set and what is odd about it: copies, wrong labels, unreadable files, alignment."""

    data: str = positional("what --data_dir of the training scripts takes: a folder, a record file, drawn")
    out: str = option("", "also write a page with faces to this HTML file", short="o", writes="file")
    json: str = option("", "also write the result to this JSON file", writes="file")
    sample: int = option(60, "images in which eyes, nose and mouth are looked for; 0 = none")
    seed: int = option(666, "seed of what is looked at and shown")
    quiet: bool = option(False, "no progress bar")

    def __post_init__(self):
        """Raise ValueError for numbers that cannot work."""
        at_least(self, 0, "sample", "seed")


def run(options):
    """Look at all images, write what was asked for and say what was found."""
    from tf_facenet import data, logs
    from tf_facenet.files import write_json
    from tf_facenet.progress import Progress

    faces = data.load(options.data)
    logs.import_tensorflow()
    from tf_facenet.data import survey
    from tf_facenet.evaluation import data_report

    with Progress(len(faces), "Reading images", options.quiet) as bar:
        found = survey.survey(faces, progress=bar.update)
    placement = look_for_faces(found, options)
    facts = data_report.facts(found, placement)
    if options.json:
        write_json(options.json, data_report.to_json(found, placement))
    if options.out:
        data_report.write_report(options.out, options.data, found, facts, options.seed)
    say(*data_report.lines(facts), *[f"Report: {options.out}"] * bool(options.out))


def look_for_faces(found, options):
    """`Placement` of a random sample, or why there is none."""
    import numpy as np

    from tf_facenet.align import placement
    from tf_facenet.align.detect import Detector
    from tf_facenet.data import survey
    from tf_facenet.progress import Progress

    if not options.sample:
        return "not looked at (--sample 0)"
    try:
        detector = Detector()
    except OSError as error:  # its package is missing
        return f"not looked at: {error}"
    rows = np.random.default_rng(options.seed).permutation(found.rows)[:options.sample]
    pictures = (survey.pixels(found.faces, row) for row in rows)
    with Progress(len(rows), "Looking for faces", options.quiet) as bar:
        return placement.measure(pictures, detector, bar.update)
