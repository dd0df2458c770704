"""A whole training run: from a trainer and its data to the finished run folder."""

import logging

from tf_facenet import config
from tf_facenet.data.batches import Augmentation, evaluation_batches, training_batches
from tf_facenet.training import callbacks, optimizers, watch
from tf_facenet.training.checkpoints import Checkpoints
from tf_facenet.training.history import History
from tf_facenet.training.loop import Loop, NonFiniteError, Stop
from tf_facenet.training.rounds import Rounds
from tf_facenet.version import __version__

logger = logging.getLogger(__name__)


def fit(trainer, faces, plan, options, run, strategy, held_out=None, sets=()):
    """Train, validate, save; with ``--resume`` go on where the last checkpoint was written.

    Args:
        trainer: `FaceTrainer`, created in the scope of `strategy`.
        faces: `Faces` to train on.
        plan: `schedules.Plan`.
        options: `options.SoftmaxOptions` or `options.TripletOptions`.
        run: `runs.Run`.
        strategy: tf.distribute strategy.
        held_out: `Faces` to validate on, or None.
        sets: list of `data.pairs.Pairs` to verify; the first gives the model its threshold.

    Returns:
        Exit status: 0, or 128 + the number of the signal that ended the run early.

    Raises:
        NonFiniteError: the loss or a weight became NaN or infinite.
        OSError: a checkpoint cannot be written.
    """
    with strategy.scope():
        optimizer = optimizers.create(options, plan.learning_rate)
        average = (optimizers.WeightAverage(trainer.averaged_variables,
                                            options.moving_average_decay)
                   if options.moving_average_decay else None)
        loop = Loop(trainer, optimizer, strategy, average, options.accumulation_steps)
    checkpoints = Checkpoints(run.checkpoints, options.keep_checkpoints)
    metadata = describe(trainer.backbone, faces, options)
    manifest = {}
    if options.resume:
        manifest = checkpoints.restore(loop.state())
        loop.step, metadata["threshold"] = manifest["step"], manifest["threshold"]
        logger.info("Resuming after step %d", loop.step)
    hooks = callbacks.Hooks(
        loop, plan, options, run, checkpoints,
        History(run.log_folder, loop.step, [pairs.name for pairs in sets]),
        trainer.watch(watch.patience(plan.epoch_size), loop.step),
        metadata, options.log_histograms and _first_batch(faces, options),
        held_out and callbacks.Validation(held_out, trainer, options),
        sets and callbacks.Verification(sets, trainer.backbone, options))
    batches = _batches(trainer, faces, options, loop.step, manifest.get("batches"))
    loop.batches_state = getattr(batches, "state", dict)
    try:
        return _run(loop, batches, hooks)
    finally:
        hooks.close()


def _batches(trainer, faces, options, start, state):
    augmentation = Augmentation(options.random_crop, options.random_flip, options.random_rotate, options.crop)
    if getattr(options, "mining", "") == "offline":
        return Rounds(faces, trainer.backbone, options, augmentation, state)
    return training_batches(
        faces, options.batch_size, options.image_size, augmentation, options.seed, start=start,
        num_threads=options.nrof_preprocess_threads or None,
        images_per_person=trainer.images_per_person)


def _run(loop, batches, hooks):
    folder = hooks.run.folder
    try:
        with Stop() as stop:
            if not loop.step:
                hooks.checkpoint()  # from here on the run can be resumed
            loop.run(batches, hooks.plan.steps, hooks, stop)
            if stop.signal:
                hooks.checkpoint()
    except NonFiniteError as error:
        paths = hooks.checkpoints.paths()
        raise NonFiniteError(
            f"{error}. Stopped; the last good checkpoint is {paths[-1] if paths else 'none'}. Try "
            "a lower --learning_rate, --warmup_epochs 1 or --clip_norm 5, and look for bad images"
        ) from None
    except OSError as error:
        if error.errno is None:  # it says already what is left
            raise
        raise OSError(f"cannot write to {folder}: {error.strerror}. Free some space; "
                      f"{hooks.checkpoints.what_is_left()}") from error
    if stop.signal:
        logger.warning("Stopped by %s after step %d; go on with --resume %s",
                       stop.signal.name, loop.step, folder)
        return 128 + stop.signal
    logger.info("Finished after step %d; the model is %s", loop.step, hooks.run.model)
    return 0


def _first_batch(faces, options):
    return next(iter(evaluation_batches(
        faces.samples[:options.batch_size], options.batch_size, options.image_size)))


def describe(backbone, faces, options):
    """Metadata that travel with the model."""
    height, width = backbone.input_shape[1:3]
    return {
        "backbone": options.model_def.removeprefix("models."),
        "image_size": [height, width],
        "embedding_size": options.embedding_size,
        "standardization": options.standardization,
        "color_order": "RGB",
        "template": "",
        "class_names": list(faces.names),
        "threshold": None,
        "options": config.to_dict(options),
        "data_licence": options.data_licence,
        "version": __version__,
    }
