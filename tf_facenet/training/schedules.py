"""Learning rate as a function of the step: base rate or file, decay, warm-up.

facenet: rate = (constant or file) · factor^⌊step / (decay_epochs · epoch_size)⌋, epochs from 1.
"""

import dataclasses
import math
import os

import keras
from keras import ops

FOLDER = os.path.join(os.path.dirname(__file__), "learning_rate_schedules")


def read_schedule(path):
    """Read a schedule file.

    Each line is ``epoch: rate``; ``#`` starts a comment; the rate ``-`` or a rate of zero or less
    stops training. The rate of the last line holds for ever.

    Args:
        path: a file, or the name of one that comes with the package (casia, vggface2, msceleb,
            retrain_tripletloss).

    Returns:
        ``(starts, rates, stop)``: epochs at which the rates begin, and the epoch (or None) that is
        not trained any more.

    Raises:
        ValueError: a malformed line, named by its number, or no rate at all.
        OSError: no such file.
    """
    packaged = os.path.join(FOLDER, f"{path}.txt")
    filename = packaged if os.path.isfile(packaged) else path
    if not os.path.isfile(filename):
        names = ", ".join(sorted(name[:-4] for name in os.listdir(FOLDER)))
        raise OSError(f"no learning rate schedule file {path!r}; name a file of 'epoch: rate' "
                      f"lines or one of: {names}")
    starts, rates = [], []
    with open(filename, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            entry = line.split("#")[0].strip()
            if not entry:
                continue
            epoch, rate = _entry(entry, f"schedule file {path!r}, line {number}")
            if starts and epoch <= starts[-1]:
                raise ValueError(f"schedule file {path!r}, line {number}: epoch {epoch} does not "
                                 f"come after {starts[-1]}")
            if rate <= 0:
                return _complete(path, starts, rates, epoch)
            starts.append(epoch)
            rates.append(rate)
    return _complete(path, starts, rates, None)


def _entry(entry, where):
    try:
        epoch, rate = entry.split(":")
        epoch, rate = int(epoch), -1.0 if rate.strip() == "-" else float(rate)
    except ValueError:
        raise ValueError(f"{where}: expected 'epoch: rate', got {entry!r}") from None
    if not math.isfinite(rate):
        raise ValueError(f"{where}: the rate {entry!r} is not finite")
    return epoch, rate


def _complete(path, starts, rates, stop):
    if not rates:
        raise ValueError(f"schedule file {path!r} holds no rate; expected lines like '0: 0.05'")
    return starts, rates, stop


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run is and at which rates it learns.

    Attributes:
        epoch_size: steps per epoch.
        epochs: epochs of the run; fewer than asked for if the schedule file stops earlier.
        learning_rate: rate of a step, the first of which is 0.
    """

    epoch_size: int
    epochs: int
    learning_rate: "EpochSchedule"

    @property
    def steps(self):
        """Steps of the run."""
        return self.epochs * self.epoch_size


def plan(options, num_images):
    """Build the plan that the options describe.

    Args:
        options: `options.SoftmaxOptions`.
        num_images: images of the training set; they make an epoch if ``--epoch_size`` is 0.

    Raises:
        OSError: no such schedule file.
        ValueError: the schedule file is malformed, or stops before the first epoch.
    """
    epoch_size = options.epoch_size or max(1, num_images // options.batch_size)
    starts, rates, stop = [0], [options.learning_rate], None
    if options.learning_rate <= 0:
        starts, rates, stop = read_schedule(options.learning_rate_schedule_file)
    epochs = options.max_nrof_epochs if stop is None else min(options.max_nrof_epochs, stop - 1)
    if epochs < 1:
        raise ValueError(f"schedule file {options.learning_rate_schedule_file!r} stops at epoch "
                         f"{stop}; the first epoch is 1")
    return Plan(epoch_size, epochs, EpochSchedule(
        starts, rates, epoch_size, epochs=epochs, decay=options.learning_rate_decay,
        decay_epochs=options.learning_rate_decay_epochs,
        decay_factor=options.learning_rate_decay_factor, warmup_epochs=options.warmup_epochs))


# Share of the rate that is left, from the share of the run that is done.
_DECAYS = {
    "polynomial": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + ops.cos(math.pi * done)),
}


class EpochSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Rates that begin at given epochs, times a decay, after a linear warm-up.

    With W warm-up steps, step t (from 0) has (t + 1) / W of the rate while t < W: the first step
    runs at 1/W, not at zero and not at the full rate.

    Args:
        starts: epochs (the first is 1) at which the rates begin; earlier epochs use the first rate.
        rates: one rate for each.
        epoch_size: steps per epoch.
        epochs: epochs of the whole run, at whose end polynomial and cosine decay reach zero.
        decay: ``exponential`` (staircase), ``polynomial`` (linear) or ``cosine``.
        decay_epochs: epochs between the steps of the staircase.
        decay_factor: factor of the staircase.
        warmup_epochs: epochs of warm-up, W = warmup_epochs · epoch_size.
    """

    def __init__(self, starts, rates, epoch_size, **shape):
        self.starts, self.rates, self.epoch_size = list(starts), list(rates), epoch_size
        self.shape = shape

    def __call__(self, step):
        """Rate of a step (a number or a tensor; the first is 0) as float32."""
        step = ops.cast(step, "float32")
        warmup = round(self.shape["warmup_epochs"] * self.epoch_size)
        rate = self._base(step) * self._decay(step, warmup)
        return rate * ops.minimum(1.0, (step + 1.0) / warmup) if warmup else rate

    def _base(self, step):
        rate = ops.convert_to_tensor(self.rates[0], "float32")
        for start, later in zip(self.starts[1:], self.rates[1:], strict=True):
            rate = ops.where(step >= (start - 1) * self.epoch_size, later, rate)
        return rate

    def _decay(self, step, warmup):
        if self.shape["decay"] == "exponential":
            stairs = ops.floor(step / (self.shape["decay_epochs"] * self.epoch_size))
            return ops.power(float(self.shape["decay_factor"]), stairs)
        last = self.shape["epochs"] * self.epoch_size
        done = (step - warmup) / max(1, last - warmup)
        return _DECAYS[self.shape["decay"]](ops.clip(done, 0.0, 1.0))

    def get_config(self):
        """Arguments of the constructor."""
        return {"starts": self.starts, "rates": self.rates, "epoch_size": self.epoch_size,
                **self.shape}
