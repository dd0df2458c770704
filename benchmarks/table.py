"""A line of the common table: one thing measured here and at a peer's, in one run."""

import dataclasses
import math
import subprocess

FASTER_IS_LESS = ("s", "ms")
LINE = "{:<44} {:>9} {:>10} {:<28} {:>10} {:>7} {:>8} {:>8}  {}"
HEADER = LINE.format("what", "unit", "ours", "peer", "theirs", "ratio", "MB", "peer MB", "")


@dataclasses.dataclass(frozen=True)
class Row:
    """What was measured.

    Attributes:
        what: name of the measurement, the same from run to run.
        unit: "s" and "ms" are better if they are less, all others if they are more.
        ours: this package's figure.
        peer: what it stands beside; "" if nothing.
        theirs: the peer's figure.
        memory: our peak in MB.
        their_memory: the peer's.
    """

    what: str
    unit: str
    ours: float
    peer: str = ""
    theirs: float = math.nan
    memory: float = math.nan
    their_memory: float = math.nan

    @property
    def ratio(self):
        """How many times better ours is."""
        return self.theirs / self.ours if self.unit in FASTER_IS_LESS else self.ours / self.theirs

    def line(self, remark=""):
        """The row as text."""
        numbers = [shown(number) for number in (self.theirs, self.ratio, self.memory, self.their_memory)]
        return LINE.format(self.what, self.unit, shown(self.ours), self.peer, *numbers, remark).rstrip()


def shown(number):
    """Three digits of a number, all those before the point; "-" if there is none."""
    if math.isnan(number):
        return "-"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def has(python, package):
    """Whether an interpreter, or "", has a package."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return bool(python) and not subprocess.run([python, "-c", code], capture_output=True).returncode
