"""Choose the distance below which two faces are the same person's, and store it in the model."""

from dataclasses import dataclass

from tf_facenet.config import option, positional
from tf_facenet.options.data import ImportOptions
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options(ImportOptions):
    """Choose the distance below which two faces are the same person's, and store it in the model."""

    model: str = positional("run folder or .keras file")
    lfw_dir: str = positional("folder of aligned faces, a .bin set, or drawn[:people=...,first=...]")
    lfw_pairs: str = option("pairs.txt", "file of the pairs, also looked for in and beside lfw_dir")
    far: float = option(0.001, "share of different pairs that may pass for the same person")
    batch_size: int = option(100, "images per batch")
    quiet: bool = option(False, "no progress bar")

    def __post_init__(self):
        """Raise ValueError for a rate that cannot be."""
        if not 0 <= self.far < 1:
            raise ValueError(f"--far is {self.far}; expected a share from 0 to below 1, such as 0.001")


def run(options):
    """Verify, choose and store."""
    from tf_facenet.cli.shared import load_embedder
    from tf_facenet.data.pairs import load_pairs
    from tf_facenet.evaluation.verification import evaluate
    from tf_facenet.inference.metadata import check_changeable
    from tf_facenet.progress import Progress

    check_changeable(options.model)
    pairs = load_pairs(options.lfw_dir, options.lfw_pairs)
    embedder = load_embedder(options.model, options)
    from tf_facenet.inference.model_file import write_metadata

    with Progress(len(set(pairs.images)), "Embedding", options.quiet) as bar:
        embeddings = embedder.embed(pairs.images, progress=bar.update)
    report = evaluate(embeddings, pairs.same, folds=pairs.folds, target_far=options.far)
    chosen = {"distance": report.distance, "value": report.far_threshold, "far": report.target_far,
              "value_at_far": report.far_threshold}
    write_metadata(options.model, {"threshold": chosen})
    say(f"Validation rate: {report.val:2.5f}+-{report.val_std:2.5f} @ FAR={report.far:2.5f}",
        f"Squared distance below which two faces are the same person's, now stored in {options.model}: "
        f"{report.far_threshold:.4f}; as Euclidean distance, for --threshold of compare and identify: "
        f"{report.far_threshold**0.5:.4f}", *pairs.left_out())
