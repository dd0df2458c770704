"""A progress bar with rate and time left on a terminal, plain log lines anywhere else."""

import logging
import shutil
import sys
import time

_BAR = 24  # characters
_TERMINAL_INTERVAL, _LOG_INTERVAL = 0.1, 30.0  # seconds between two outputs

logger = logging.getLogger(__name__)


class Progress:
    """Shows how far a long piece of work is, how fast it goes and how long it will take.

    >>> with Progress(len(images), "Embedding") as bar:
    ...     for done, image in enumerate(images, 1):
    ...         bar.update(done, "any text")

    Args:
        total: the number of steps.
        label: what is going on, shown before the bar.
        quiet: show nothing.
        start: the steps that were done before (work that is resumed); they do not count as speed.
    """

    def __init__(self, total, label, quiet=False, start=0):
        self.total, self.label, self.quiet, self.start = total, label, quiet, start
        self._terminal = sys.stderr.isatty()
        self._interval = _TERMINAL_INTERVAL if self._terminal else _LOG_INTERVAL
        self._begun = self._shown = time.monotonic()

    def update(self, done, text=""):
        """Says that `done` steps (in all, not since the last call) are done; `text` is shown."""
        now = time.monotonic()
        if self.quiet or (now - self._shown < self._interval and done < self.total):
            return
        self._shown = now
        line = self._line(done, now - self._begun, text)
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r{line[:width]:<{width}}")
            sys.stderr.flush()
        else:
            logger.info("%s", line)

    def _line(self, done, seconds, text):
        share = min(done / self.total, 1.0) if self.total else 1.0
        bar = f" [{'=' * round(_BAR * share):<{_BAR}}]" if self._terminal else ""
        rate = (done - self.start) / max(seconds, 1e-9)
        left = f", {_clock((self.total - done) / rate)} left" if 0 < rate and share < 1 else ""
        speed = f"{rate:.0f}/s" if rate >= 10 else f"{rate:.2f}/s"
        return f"{self.label}{bar} {done}/{self.total} {share:.0%}, {speed}{left}  {text}".rstrip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._terminal and not self.quiet:
            sys.stderr.write("\n")  # so that what follows, an error too, has a line of its own


def _clock(seconds):
    """3723 → "1:02:03", 62 → "1:02"."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
