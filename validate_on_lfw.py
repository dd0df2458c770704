"""Validate a face-embedding network on Labeled Faces in the Wild or on pairs of the same form.

    python validate_on_lfw.py ~/lfw_160 runs/20260101-120000 --use_flipped_images

Arguments and output are those of davidsandberg/facenet (src/validate_on_lfw.py, MIT). The model standardises by itself.
"""

import logging
from pathlib import Path

from tf_facenet import config, inference, logs
from tf_facenet.files import write_json
from tf_facenet.options import LfwOptions
from tf_facenet.progress import Progress
from tf_facenet.terminal import say


def main(argv=None):
    """Verify as the command line says; returns the exit status."""
    options = config.parse(LfwOptions, argv, prog="validate_on_lfw.py")
    logs.to_stdout(options.quiet)
    from tf_facenet.data.pairs import load_sets  # after -h has been answered

    sets = load_sets(options.lfw_dir, options.lfw_pairs, options.val_targets, options.lfw_dir, options.lfw_nrof_folds)
    embedder = inference.load_embedder(options.model, options.import_, options.lfw_batch_size, options.crop)
    say(f"Model {'directory' if Path(options.model).is_dir() else 'filename'}: {options.model}")
    check(options, embedder.metadata)
    flip, more = options.flip or ("concat" if options.use_flipped_images else "none"), {}
    facts = {"model": options.model, "lfw_dir": options.lfw_dir, "missing": sets[0].missing, "val_targets": more}
    for pairs in sets:
        result = verify(options, embedder, pairs, flip, f"_{pairs.name}" * (pairs is not sets[0]))
        (facts if pairs is sets[0] else more.setdefault(pairs.name, {})).update(result.to_json())
        if options.json:
            write_json(options.json, facts)
        say(result.of_all_pairs(), *result.lines())
    say(*(line for pairs in sets for line in pairs.left_out()))
    return 0


def verify(options, embedder, pairs, flip, suffix):
    """Verify one set and draw the result, an `evaluation.verification.Report`."""
    from tf_facenet.evaluation import metrics, plots, report, verification

    say(f"Runnning forward pass on {pairs.title} images")
    with Progress(len(set(pairs.images)), "Embedding", options.quiet) as bar:
        result = verification.verify(embedder, pairs, flip, bar.update, subtract_mean=options.subtract_mean,
                                     distance=metrics.FACENET_DISTANCES[options.distance_metric])
    if options.plot:
        plots.verification(result, pairs.images, options.plot + suffix)
    if options.report:
        path, how = Path(options.report), {"images": pairs.name if suffix else options.lfw_dir, "mirrored images": flip}
        report.write_report(path.with_stem(path.stem + suffix), options.model, embedder.metadata, result, pairs, how)
    return result


def check(options, metadata):
    """Compare what the command line says about the images with what the model knows itself."""
    height, width = metadata["image_size"]
    if options.image_size not in (None, (height, width), *[height] * (height == width)):
        raise ValueError(f"--image_size is {options.image_size}; this model takes {height}x{width}."
                         " Leave the option out, or name another model")
    if options.use_fixed_image_standardization and (own := metadata["standardization"]) not in ("", "fixed"):
        logging.getLogger("tf_facenet.validate_on_lfw").warning(
            "--use_fixed_image_standardization is ignored: the model standardises (%s) itself", own)


if __name__ == "__main__":
    config.run(main)
