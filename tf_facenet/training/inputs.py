"""What a training reads first: everything that can be wrong with it comes up before TensorFlow is loaded."""

from pathlib import Path

from tf_facenet import backbones
from tf_facenet.data import pairs, prepare
from tf_facenet.training import runs


def read(options, given):
    """Read what the options name.

    Args:
        options: `options.SoftmaxOptions` or `options.TripletOptions`.
        given: see `runs.resume`.

    Returns:
        ``(run, options, faces, sets)``: the `runs.Run` that is taken up, or None; its options, or the same; `Faces`,
        readable or not; and the list of `Pairs` to verify on.

    Raises:
        OSError: a folder or file is missing.
        ValueError: one is malformed, or there is no such backbone.
    """
    run = None
    if options.resume:
        run, options = runs.resume(options, given)
    backbones.path_of(options.model_def)
    if options.pretrained_model and not options.resume:
        check_pretrained(options.pretrained_model)
    sets = pairs.load_sets(options.lfw_dir, options.lfw_pairs, options.val_targets, options.data_dir,
                           options.lfw_nrof_folds)
    return run, options, prepare.chosen_faces(options), sets


def check_pretrained(path):
    """Raise OSError if there is nothing at the path of --pretrained_model."""
    if not Path(path).exists():
        raise OSError(f"--pretrained_model {path!r} does not exist; expected a run folder, a .keras file or a "
                      ".weights.h5 file")
