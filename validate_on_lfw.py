"""Validate a face-embedding network on Labeled Faces in the Wild or on pairs of the same form.

    python validate_on_lfw.py ~/lfw_160 runs/20260101-120000 --use_flipped_images

The arguments and the output are those of davidsandberg/facenet (src/validate_on_lfw.py, MIT). The
model standardises by itself; pairs with a missing image are skipped and named.
"""

import json
import logging
from pathlib import Path

from tf_facenet import config, logs
from tf_facenet.files import atomic_write
from tf_facenet.options import LfwOptions
from tf_facenet.progress import Progress


def main(argv=None):
    """Verify as the command line says; returns the exit status."""
    options = config.parse(LfwOptions, argv, prog="validate_on_lfw.py")
    logs.to_stdout(options.quiet)
    from tf_facenet.data.pairs import load_pairs
    from tf_facenet.evaluation import metrics, plots, verification
    from tf_facenet.inference.embedder import Embedder  # after -h has been answered

    pairs = load_pairs(options.lfw_dir, options.lfw_pairs, options.lfw_nrof_folds)
    if pairs.missing:
        print(f"Skipped {pairs.num_skipped} image pairs, for these images are missing:", *pairs.missing)
    print(f"Model {'directory' if Path(options.model).is_dir() else 'filename'}: {options.model}")
    embedder = Embedder.load(options.model, options.lfw_batch_size)
    check(options, embedder.metadata)

    print("Runnning forward pass on LFW images")
    flip = options.flip or ("concat" if options.use_flipped_images else "none")
    with Progress(len(set(pairs.images)), "Embedding", options.quiet) as bar:
        embeddings = embedder.embed(pairs.images, flip, progress=bar.update)
    report = verification.evaluate(
        embeddings, pairs.same, folds=pairs.folds, subtract_mean=options.subtract_mean,
        distance=tuple(metrics.DISTANCES)[options.distance_metric])  # in facenet's order
    print(*report.lines(), sep="\n")

    if options.json:
        result = {"model": options.model, "lfw_dir": options.lfw_dir, "flip": flip,
                  "missing": pairs.missing, **report.to_json()}
        with atomic_write(options.json) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        plots.roc(report, f"{options.plot}_roc.png")
        plots.histogram(report, f"{options.plot}_distances.png")
        plots.hardest(report, pairs.images, f"{options.plot}_pairs.png")
    return 0


def check(options, metadata):
    """Compare what the command line says about the images with what the model knows itself."""
    height, width = metadata["image_size"]
    if options.image_size not in (None, (height, width), *[height] * (height == width)):
        raise ValueError(f"--image_size is {options.image_size}; this model takes {height}x{width}."
                         " Leave the option out, or name another model")
    own = metadata["standardization"]
    if options.use_fixed_image_standardization and own not in ("", "fixed"):
        logging.getLogger("tf_facenet.validate_on_lfw").warning(
            "--use_fixed_image_standardization is ignored: the model standardises (%s) itself", own)


if __name__ == "__main__":
    config.run(main)
