"""A whole training run: from a trainer and its data to the finished run folder."""

import contextlib
import logging

import tensorflow as tf

from tf_facenet import config, data, kernels
from tf_facenet.align.recipe import noted_template
from tf_facenet.data.augment import Augmentation
from tf_facenet.data.batches import NO_IMAGE, training_batches
from tf_facenet.data.in_order import evaluation_batches
from tf_facenet.files import write_json
from tf_facenet.finite import NonFiniteError
from tf_facenet.inference import metadata
from tf_facenet.training import agreement, averages, callbacks, distribution, optimizers, watch
from tf_facenet.training.checkpoints import Checkpoints
from tf_facenet.training.history import History
from tf_facenet.training.loop import Loop, Stop
from tf_facenet.training.precision import LossScale
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
        OSError: a checkpoint cannot be written, memory does not suffice, or another worker is gone.
        ValueError: everything is frozen.
    """
    if options.resume:
        agreement.check_resumed(run.faces, faces)
    if not trainer.trainable_variables:
        raise ValueError(f"--freeze {options.freeze} leaves nothing to train")
    loop = _loop(trainer, plan, options, strategy)
    checkpoints = Checkpoints(run.checkpoints, options.keep_checkpoints)
    metadata = describe(trainer.backbone, faces, options)
    manifest = {}
    if options.resume:
        manifest = checkpoints.restore(loop.state())
        loop.step, metadata["threshold"] = manifest["step"], manifest["threshold"]
        logger.info("Resuming after step %d", loop.step)
        if loop.sampling:
            loop.sampling.resumed(manifest.get("draws", loop.sampling.parts))
    with loop.workers.together():  # each computes the loss of its own classes, if they are spread
        loss_watch = trainer.watch(watch.patience(plan.epoch_size), loop.step)
    validation = held_out and callbacks.Validation(held_out, trainer, options)
    if loop.workers.is_chief:
        write_json(run.faces, agreement.facts(faces))
        hooks = callbacks.Hooks(
            loop, plan, options, run, checkpoints,
            History(run.log_folder, loop.step, [pairs.name for pairs in sets]),
            loss_watch, metadata, options.log_histograms and _first_batch(faces, options),
            validation,
            sets and callbacks.Verification(sets, trainer.backbone, options))
    else:
        hooks = callbacks.FollowerHooks(loop, plan, options, run, checkpoints, trainer.head.spread and validation)
    batches = _batches(loop, faces, options, manifest.get("batches"))
    loop.batches_state = batches.state if isinstance(batches, Rounds) else None
    try:
        status = _run(loop, batches, hooks)
    except BaseException:
        with contextlib.suppress(OSError):  # on a full disk; the first error says more
            hooks.close()
        raise
    hooks.close()
    return status


def _loop(trainer, plan, options, strategy):
    jit = distribution.jit(options, strategy)
    logger.info("Devices: %s", distribution.describe(options, strategy, jit))
    with strategy.scope():
        optimizer = optimizers.create(options, plan.learning_rate)
        if not options.constant_batch_norm_momentum:
            kernels.warm_up(trainer.backbone, optimizer.iterations)
        average = (averages.WeightAverage(trainer.averaged_variables, options.moving_average_decay)
                   if options.moving_average_decay else None)
        return Loop(trainer, optimizer, strategy, average, options.accumulate,
                    loss_scale=LossScale() if options.precision == "float16" else None,
                    jit=jit, steps_per_execution=options.steps_per_execution)


def _batches(loop, faces, options, state):
    augmentation = Augmentation.of(options)
    if getattr(options, "mining", "") == "offline":
        return Rounds(faces, loop.trainer.backbone, options, augmentation, state)
    return training_batches(
        faces, options.batch_size, options.image_size, augmentation, options.seed, start=loop.step,
        num_threads=options.nrof_preprocess_threads or None,
        images_per_person=loop.trainer.images_per_person, part=loop.workers.part)


def _run(loop, batches, hooks):
    folder = hooks.run.folder
    try:
        with Stop() as stop, loop.workers.together():
            if not loop.step:
                hooks.checkpoint()  # from here on the run can be resumed
            stopped = loop.run(batches, hooks.plan.steps, hooks, stop)
            if stopped:
                hooks.checkpoint()
            loop.workers.exchange()  # nobody leaves before the chief has written everything
    except NonFiniteError as error:
        paths = hooks.checkpoints.paths()
        raise NonFiniteError(
            f"{error}. Stopped; the last good checkpoint is {paths[-1] if paths else 'none'}. Try "
            "a lower --learning_rate, --warmup_epochs 1 or --clip_norm 5, and look for bad images"
        ) from None
    except tf.errors.InvalidArgumentError as error:
        if NO_IMAGE not in str(error):
            raise
        raise OSError(f"no image of a batch can be read any more, step {loop.step + 1}. Is --data_dir still there? "
                      f"{hooks.checkpoints.what_is_left().capitalize()}") from error
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(f"out of memory in step {loop.step + 1}. Try a smaller --batch_size, --remat, --accumulate 2 or "
                      f"--precision bfloat16; {hooks.checkpoints.what_is_left()}") from error
    except OSError as error:
        if error.errno is None:  # it says already what is left
            raise
        raise OSError(f"cannot write to {folder}: {error.strerror}. Free some space; "
                      f"{hooks.checkpoints.what_is_left()}") from error
    if stopped:
        logger.warning("Stopped by %s after step %d; go on with --resume %s",
                       stop.signal.name, loop.step, folder)
        return 128 + stop.signal
    logger.info("Finished after step %d; the model is %s", loop.step, hooks.run.model)
    return 0


def _first_batch(faces, options):
    return next(iter(evaluation_batches(
        faces.samples[:options.batch_size], options.batch_size, options.image_size, place=options.crop)))


def describe(backbone, faces, options):
    """Metadata that travel with the model."""
    height, width = backbone.input_shape[1:3]
    return {
        "backbone": options.model_def.removeprefix("models."),
        "image_size": [height, width],
        "embedding_size": options.embedding_size,
        "standardization": options.standardization,
        "color_order": "RGB",
        "template": (options.template or noted_template(data.single_paths(options.data_dir))
                     or (options.pretrained_model and metadata.template(options.pretrained_model))),
        "class_names": list(faces.names),
        "threshold": None,
        "options": config.to_dict(options),
        "data_licence": options.data_licence,
        "version": __version__,
    }
