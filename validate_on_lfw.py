"""Validate a face-embedding network on Labeled Faces in the Wild or on pairs of the same form.

    python validate_on_lfw.py ~/lfw_160 runs/20260101-120000 --use_flipped_images

Arguments and output are those of davidsandberg/facenet (src/validate_on_lfw.py, MIT). The model standardises by itself.
"""

import logging
from pathlib import Path

from tf_facenet import config, environment, logs
from tf_facenet.files import write_json
from tf_facenet.options import LfwOptions
from tf_facenet.progress import Progress


def main(argv=None):
    """Verify as the command line says; returns the exit status."""
    options = config.parse(LfwOptions, argv, prog="validate_on_lfw.py")
    environment.check_keras()
    logs.to_stdout(options.quiet)
    from tf_facenet import Embedder, backbones  # after -h has been answered
    from tf_facenet.data.pairs import load_sets

    sets = load_sets(options.lfw_dir, options.lfw_pairs, options.val_targets, options.lfw_dir, options.lfw_nrof_folds)
    if missing := sets[0].missing:
        print(f"Skipped {sets[0].num_skipped} image pairs, for these images are missing:", *missing)
    print(f"Model {'directory' if Path(options.model).is_dir() else 'filename'}: {options.model}")
    own = backbones.own.objects(options.import_)
    embedder = Embedder.load(options.model, options.lfw_batch_size, options.crop, own)
    check(options, embedder.metadata)
    first = verify(options, embedder, sets[0])
    more = {pairs.name: verify(options, embedder, pairs, f"_{pairs.name}") for pairs in sets[1:]}
    if options.json:
        facts = {"model": options.model, "lfw_dir": options.lfw_dir, "missing": missing, "val_targets": more}
        write_json(options.json, facts | first)
    return 0


def verify(options, embedder, pairs, suffix=""):
    """Verify one set, print and draw the result; returns it for the JSON file."""
    from tf_facenet.evaluation import metrics, plots, report, verification

    print(f"Runnning forward pass on {pairs.name.upper()} images")
    flip = options.flip or ("concat" if options.use_flipped_images else "none")
    with Progress(len(set(pairs.images)), "Embedding", options.quiet) as bar:
        result = verification.verify(embedder, pairs, flip, bar.update, subtract_mean=options.subtract_mean,
                                     distance=metrics.FACENET_DISTANCES[options.distance_metric])
    print(*result.lines(), sep="\n")
    if options.plot:
        plots.verification(result, pairs.images, options.plot + suffix)
    if options.report:
        path, how = Path(options.report), {"images": pairs.name if suffix else options.lfw_dir, "mirrored images": flip}
        report.write_report(path.with_stem(path.stem + suffix), options.model, embedder.metadata, result, pairs, how)
    return {"flip": flip, **result.to_json()}


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
