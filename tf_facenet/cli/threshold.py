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
    far: float = option(0.001, "share of different pairs that may pass for the same person; at least 1/n of n "
                        "different pairs")
    allow_extrapolation: bool = option(False, "store a threshold for a smaller --far, too: the distance from which on "
                                       "all different pairs are")
    flip: str = option("none", "use the mirrored image, too, as the commands do that will use the threshold",
                       choices=("none", "sum", "concat"))
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
    from tf_facenet.inference import metadata
    from tf_facenet.progress import Progress

    metadata.check_changeable(options.model)
    pairs = load_pairs(options.lfw_dir, options.lfw_pairs)
    if not options.allow_extrapolation:
        check_far(options.far, int((~pairs.same).sum()))
    embedder = load_embedder(options.model, options)
    from tf_facenet.evaluation.verification import choose_threshold
    from tf_facenet.inference.model_file import write_metadata

    with Progress(len(set(pairs.images)), "Embedding", options.quiet) as bar:
        rows = embedder.embed(pairs.images, options.flip, bar.update)
    value, true_accept_rate, false_accepts = choose_threshold(rows, pairs.same, options.far)
    chosen = metadata.stored_threshold("squared-L2", value, options.flip, false_accepts, options.far)
    write_metadata(options.model, {"threshold": chosen})
    say(f"Of all {pairs} the threshold accepts {true_accept_rate:.5f} of the same person, and {false_accepts}",
        f"Squared distance below which two faces are the same person's, now stored in {options.model}: "
        f"{chosen['value']:.4f}; as Euclidean distance, for --threshold of compare and identify: "
        f"{chosen['value']**0.5:.4f}", *pairs.left_out())


def check_far(far, different):
    """Raise ValueError unless so many pairs of different people can show a false accept rate."""
    from tf_facenet.evaluation import rates

    if different and not rates.can_show(different, far):
        raise ValueError(f"--far is {far:g}, but {rates.limit(different, far)}. Pass that, give more pairs, or pass "
                         "--allow_extrapolation to store a threshold that accepts none of them")
