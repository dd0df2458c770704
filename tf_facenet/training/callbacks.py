"""What happens beside the steps: log lines, validation, verification, checkpoints."""

import contextlib
import dataclasses
import functools
import logging
import time

import tensorflow as tf

from tf_facenet import config, data
from tf_facenet.data.in_order import evaluation_batches
from tf_facenet.evaluation import metrics, verification
from tf_facenet.files import atomic_write, write_json
from tf_facenet.inference.embedder import Embedder
from tf_facenet.inference.metadata import stored_threshold
from tf_facenet.inference.model_file import save_model
from tf_facenet.progress import Progress
from tf_facenet.training import spread
from tf_facenet.training.checkpoints import take_part
from tf_facenet.training.history import MEASURES, History

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def averaged(average):
    """The averaged weights in the network's place, for the length of a block."""
    if average:
        average.swap()
    try:
        yield
    finally:
        if average:
            average.swap()


class Validation:
    """Cross-entropy and accuracy on held-out images.

    Args:
        faces: held-out `Faces`.
        trainer: `FaceTrainer`.
        options: `options.SoftmaxOptions`.
    """

    def __init__(self, faces, trainer, options):
        self.labels = faces.labels
        self._is_drawn = all(data.is_drawn(path) for path in data.single_paths(options.data_dir))
        self._batches = functools.partial(
            evaluation_batches, faces.samples, options.lfw_batch_size, options.image_size, place=options.crop)
        self._terms = tf.function(lambda images, labels: trainer.terms(trainer(images), labels),
                                  reduce_retracing=True, autograph=False)

    def __call__(self):
        """Values for the history."""
        logger.info("Running forward pass on validation set%s", " of drawn faces" * self._is_drawn)
        sums, begin = dict.fromkeys(("loss", "xent", "accuracy"), 0.0), 0
        for images in self._batches():
            labels = self.labels[begin:begin + len(images)]
            terms = self._terms(images, tf.constant(labels, tf.int32))
            sums = {name: sums[name] + float(terms[name]) * len(labels) for name in sums}
            begin += len(labels)
        return {f"val_{name}": total / begin for name, total in sums.items()}


class Verification:
    """LFW's protocol on sets of pairs of faces.

    Args:
        sets: list of `data.pairs.Pairs`.
        backbone: Keras model.
        options: `options.SoftmaxOptions`.
    """

    def __init__(self, sets, backbone, options):
        self.sets = sets
        self.flip = options.lfw_flip or ("concat" if options.lfw_use_flipped_images else "none")
        self.protocol = {"distance": metrics.FACENET_DISTANCES[options.lfw_distance_metric],
                         "subtract_mean": options.lfw_subtract_mean}
        self.embedder = Embedder(backbone, {"image_size": backbone.input_shape[1:3]},
                                 options.lfw_batch_size, options.crop)

    def __call__(self):
        """Yield for each set its name and the `evaluation.verification.Report` of the backbone as it is now."""
        for pairs in self.sets:
            logger.info("Running forward pass on %s images", pairs.title)
            yield pairs.name, verification.verify(self.embedder, pairs, self.flip, **self.protocol)


def due(step, plan, options):
    """Whether anything happens after a step; the same for all workers, since they may stop there."""
    return saves(step, plan, options) or any(_every(step, steps) for steps in (
        options.log_every_n_steps, options.validate_every_n_steps))


def saves(step, plan, options):
    """Whether a checkpoint is written after a step."""
    return _every(step, plan.epoch_size) or _every(step, options.checkpoint_every_n_steps)


def validates(step, plan, options, epochs):
    """Whether a validation comes after a step: every so many epochs, or --validate_every_n_steps; always at the end."""
    return step == plan.steps or _every(step, options.validate_every_n_steps or epochs * plan.epoch_size)


@dataclasses.dataclass
class FollowerHooks:
    """The `Hooks` of a worker that is not the chief: it writes nothing, but gives its part of what the chief writes.

    In its next step it waits for the chief, who may be validating. If classes are spread over the workers, it takes
    part in that too.
    """

    loop: object
    plan: object
    options: object
    run: object
    checkpoints: object
    validation: Validation | None = None

    def due(self, step):
        """As `Hooks.due`."""
        return due(step, self.plan, self.options)

    def after(self, steps):
        """Take part in what the chief does after the last of these steps."""
        step = steps[-1][0]
        if self.validation and validates(step, self.plan, self.options, self.options.validate_every_n_epochs):
            with averaged(self.loop.average):
                self.validation()
        if saves(step, self.plan, self.options):
            self.checkpoint()

    def checkpoint(self):
        """Take part in a checkpoint that the chief writes."""
        take_part(self.loop.state())

    def close(self):
        """Nothing is open."""


@dataclasses.dataclass
class Hooks:
    """What `Loop.run` calls between steps.

    Attributes:
        loop: the `Loop`.
        plan: `schedules.Plan`.
        options: `options.SoftmaxOptions`.
        run: `runs.Run`.
        checkpoints: `checkpoints.Checkpoints`.
        history: `History`.
        loss_watch: `watch.LossWatch`.
        metadata: what is stored with the model.
        some_images: [B, H, W, 3] whose features the histograms show, if they are on.
        validation: `Validation` or None.
        verification: `Verification` or None.
    """

    loop: object
    plan: object
    options: object
    run: object
    checkpoints: object
    history: History
    loss_watch: object
    metadata: dict
    some_images: object
    validation: Validation | None = None
    verification: Verification | None = None

    def __post_init__(self):
        self._clock, self._clock_step = time.perf_counter(), self.loop.step
        self._bar = Progress(self.plan.steps, "Training",
                             quiet=self.options.quiet, start=self.loop.step)

    def due(self, step):
        """Whether anything happens after this step."""
        return due(step, self.plan, self.options)

    def after(self, steps):
        """Log, validate and save, as far as due after the last of these steps.

        Args:
            steps: list of (step, dict of floats) since the last call.
        """
        now, step = time.perf_counter(), steps[-1][0]
        seconds = (now - self._clock) / (step - self._clock_step)
        for logged, terms in steps:
            if _every(logged, self.options.log_every_n_steps):
                self._log(logged, terms, seconds)
        self.loss_watch.see(steps)
        self._validate(step)
        if _every(step, self.plan.epoch_size):
            self._end_of_epoch(step)
        # Last of all, so that a run that is killed before does all of this again.
        if saves(step, self.plan, self.options):
            self.checkpoint()
        self._clock, self._clock_step = time.perf_counter(), step

    def _log(self, step, terms, seconds):
        epoch, batch = self._position(step)
        self.history.add(step, epoch=epoch, time=seconds, **terms)
        if not self.options.quiet:
            logger.info("Epoch: [%d][%d/%d]\tTime %.3f\t%s", epoch, batch, self.plan.epoch_size,
                        seconds, self.loop.trainer.line(terms))
        self._bar.update(step, f"loss {terms['loss']:.3f}")

    def _position(self, step):
        """Epoch and batch of a step, both from 1."""
        return (step - 1) // self.plan.epoch_size + 1, (step - 1) % self.plan.epoch_size + 1

    def _validate(self, step):
        validate, verify = self._validations_due(step)
        with averaged(self.loop.average if validate or verify else None):
            if validate:
                self._validation(step)
            if verify:
                self._verification(step)

    def _validations_due(self, step):
        return (self.validation and validates(step, self.plan, self.options, self.options.validate_every_n_epochs),
                self.verification and validates(step, self.plan, self.options, self.options.lfw_every_n_epochs))

    def _validation(self, step):
        begin = time.perf_counter()
        values = self.validation()
        logger.info("Validation Epoch: %d\tTime %.3f\tLoss %2.3f\tXent %2.3f\tAccuracy %2.3f",
                    self._position(step)[0], time.perf_counter() - begin, *values.values())
        self.history.add(step, epoch=self._position(step)[0], **values)

    def _verification(self, step):
        reports = {}
        for name, report in self.verification():
            for line in (report.of_all_pairs(), *report.lines()):
                logger.info(line)
            reports[name] = report
        self.history.add(step, epoch=self._position(step)[0], **{
            f"{name}_{measure}": getattr(report, measure)
            for name, report in reports.items() for measure in MEASURES})
        for name in reports:
            self._write_result(name)
        report = next(iter(reports.values()))
        self.metadata["threshold"] = stored_threshold(
            report.distance, report.alone[0], report.flip, report.alone[1])

    def _write_result(self, name):
        """The file lfw_result.txt as facenet has it, of any set."""
        accuracy, val = f"{name}_accuracy", f"{name}_val"
        with atomic_write(self.run.folder / f"{name}_result.txt") as temporary:
            temporary.write_text("".join(
                f"{row['step']}\t{float(row[accuracy]):.5f}\t{float(row[val]):.5f}\n"
                for row in self.history.rows() if row[accuracy]), encoding="utf-8")

    def checkpoint(self):
        """Write a checkpoint of the current step."""
        path = self.checkpoints.save(self.loop.state(), self.loop.step,
                                     threshold=self.metadata["threshold"],
                                     batches=self.loop.batches_state and self.loop.batches_state(),
                                     draws=self.loop.sampling.parts if self.loop.sampling else 0,
                                     options=config.to_dict(self.options))
        logger.info("Checkpoint %s", path)

    def _end_of_epoch(self, step):
        if self.options.log_histograms:
            self._log_histograms(step)
        with averaged(self.loop.average):
            save_model(self.loop.trainer.backbone, self.run.model, self.metadata)
        write_json(self.run.folder / "metadata.json", self.metadata)

    def _log_histograms(self, step):
        """Weights, and the sizes of the features of some images, as facenet's prelogits_hist."""
        for variable in self.loop.trainer.trainable_variables:
            self.history.histogram(step, variable.path, spread.components(variable)[0])
        features = self.loop.trainer(self.some_images)
        self.history.histogram(step, "prelogits",
                               tf.minimum(tf.abs(features), self.options.prelogits_hist_max))

    def close(self):
        """End the progress bar and draw the curves."""
        self._bar.__exit__()
        self.history.close()


def _every(step, steps):
    return bool(steps) and step % steps == 0
