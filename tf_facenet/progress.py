"""A progress bar with rate and time left on a terminal, plain log lines anywhere else."""

import logging
import shutil
import sys
import time
from datetime import timedelta

from tf_facenet import terminal

BAR = 24  # characters
TERMINAL_INTERVAL, LOG_INTERVAL = 0.1, 30.0  # seconds between two outputs

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
        self._interval = TERMINAL_INTERVAL if self._terminal else LOG_INTERVAL
        self._begun = self._shown = time.monotonic()

    def update(self, done, text=""):
        """Say that `done` steps (in all, not since the last call) are done; `text` is shown."""
        now = time.monotonic()
        if self.quiet or (now - self._shown < self._interval and done < self.total):
            return
        self._shown = now
        line = self._line(done, now - self._begun, text)
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            terminal.write("stderr", f"\r{terminal.printable(line)[:width]:<{width}}")
            terminal.flush()
        else:
            logger.info("%s", line)

    def _line(self, done, seconds, text):
        share = min(done / self.total, 1.0) if self.total else 1.0
        bar = f" [{'=' * round(BAR * share):<{BAR}}]" if self._terminal else ""
        rate = (done - self.start) / max(seconds, 1e-9)
        speed = f"{rate:.0f}/s" if rate >= 10 else f"{rate:.2f}/s"
        if rate > 0 and share < 1:
            speed += f", {timedelta(seconds=round((self.total - done) / rate))} left"
        return f"{self.label}{bar} {done}/{self.total} {share:.0%}, {speed}  {text}".rstrip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._terminal and not self.quiet:
            terminal.write("stderr", "\n")  # so that what follows, an error too, has a line of its own

