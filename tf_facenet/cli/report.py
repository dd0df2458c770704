"""Verify a model and write one page with numbers, curves and its worst mistakes."""

from dataclasses import dataclass

from tf_facenet.config import option, positional
from tf_facenet.options.data import ImportOptions
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options(ImportOptions):
    """Verify a model and write one page with numbers, curves and its worst mistakes."""

    model: str = positional("run folder, .keras file or exported model")
    pairs: str = option("", "folder of aligned faces, a .bin set, or drawn[:people=...]; default the run's --lfw_dir "
                        "or drawn faces")
    lfw_pairs: str = option("", "file of the pairs, also looked for in and beside the folder; default pairs.txt, or "
                            "without --pairs the run's")
    lfw_nrof_folds: int = option(0, "folds of the cross-validation; default 10, or without --pairs the run's")
    distance_metric: int = option(1, "0 = squared Euclidean, 1 = cosine", choices=(0, 1))
    flip: str = option("sum", "what the mirrored image's embedding is for", choices=("none", "concat", "sum"))
    output: str = option("report.html", "page to write", short="o", writes="file")
    batch_size: int = option(100, "images per batch")
    quiet: bool = option(False, "no progress bar")


def run(options):
    """Verify and write."""
    from tf_facenet.cli.shared import load_embedder
    from tf_facenet.data.pairs import load_pairs
    from tf_facenet.evaluation import metrics, verification
    from tf_facenet.inference import metadata
    from tf_facenet.progress import Progress

    trained = metadata.read(options.model)["options"]
    where = options.pairs or trained.get("lfw_dir") or "drawn:people=200,images=10,first=1000000"
    own = {} if options.pairs else trained
    pairs = load_pairs(where, options.lfw_pairs or own.get("lfw_pairs") or "pairs.txt",
                       options.lfw_nrof_folds or own.get("lfw_nrof_folds") or 10)
    embedder = load_embedder(options.model, options)
    from tf_facenet.evaluation.report import write_report

    with Progress(len(set(pairs.images)), "Embedding", options.quiet) as bar:
        report = verification.verify(embedder, pairs, options.flip, bar.update,
                                     distance=metrics.FACENET_DISTANCES[options.distance_metric])
    write_report(options.output, options.model, embedder.metadata, report, pairs,
                 {"images": where, "mirrored images": options.flip})
    say(f"Images: {where}", report.of_all_pairs(), *report.lines(), f"Report: {options.output}", *pairs.left_out())
