"""One parser under attack: damaged inputs, one after the other, each read or refused in a line that names it.

Input `number` of a seed depends on nothing else, so that what fails can be tried again alone.
"""

import contextlib
import dataclasses
import random
import resource
import signal
import warnings
from collections.abc import Callable

from tests.torture.damage import damaged

SECONDS = 10  # for one input
MEMORY = 3 << 30  # bytes of address space, beyond what the process has


@dataclasses.dataclass(frozen=True)
class Target:
    """A parser and what it reads.

    Attributes:
        write: function of a folder, writes good files there.
        use: function of the folder, reads them as a user's command does.
        inputs: (in the ordinary tests, in the torture suite).
    """

    write: Callable
    use: Callable
    inputs: tuple


class TooSlow(BaseException):
    """An input took longer than `SECONDS`; no parser catches this."""


def run(target, count, seed, folder):
    """Numbers of refused and of accepted inputs.

    Raises:
        AssertionError: an input led to another error, or to a refusal that does not name the file; the message says
            which.
    """
    good = folder / "attacked"
    good.mkdir()
    target.write(good)
    target.use(good)
    contents = {path.relative_to(good): path.read_bytes() for path in good.rglob("*") if path.is_file()}
    refused = 0
    with limits():
        for number in range(count):
            with _attacked(good, contents, random.Random(f"{seed} {number}")):
                refused += bool(refusal(target.use, good, f"input {number} of seed {seed}"))
    return refused, count - refused


def refusal(use, folder, what):
    """The message of a refusal, or None."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        use(folder)
    except (ValueError, OSError) as error:
        message = str(error)
    except BaseException as error:
        raise AssertionError(f"{what}: {error!r:.500}") from error
    else:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert folder.name in message, f"{what} is refused without its name: {message:.500}"
    return message


@contextlib.contextmanager
def _attacked(folder, contents, rng):
    """One or two of the files in a good folder are damaged for the length of a block."""
    names = rng.sample(sorted(contents), k=min(len(contents), rng.choice((1, 1, 2))))
    for name in names:
        (folder / name).write_bytes(damaged(name.name, contents[name], rng))
    yield
    for name in names:  # after a failure they stay, to be looked at
        (folder / name).write_bytes(contents[name])


@contextlib.contextmanager
def limits():
    """No input may take more than `SECONDS` or `MEMORY`."""
    def stop(_number, _frame):
        raise TooSlow

    before, handler = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, stop)
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, before[1]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, of old headers and of overflows
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGALRM, handler)
