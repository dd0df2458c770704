"""How long -h takes, beside importing TensorFlow, which it must not wait for.

    python benchmarks/startup.py

Seconds of the fastest of several processes, and their peak in memory.
"""

import os
import pathlib
import sys
import time
from argparse import Namespace

import table

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMANDS = {"train_softmax.py -h": [str(ROOT / "train_softmax.py"), "-h"],
            "tf-facenet -h": ["-c", "from tf_facenet import cli; cli.main(['-h'])"],
            "tf-facenet export -h": ["-c", "from tf_facenet import cli; cli.main(['export', '-h'])"]}


def rows(bench):
    """Rows of the common table."""
    theirs, their_memory = best(["-c", "import tensorflow"], bench.rounds)
    for name, arguments in COMMANDS.items():
        ours, memory = best(arguments, bench.rounds)
        yield table.Row(name, "s", ours, "import tensorflow", theirs, memory, their_memory)


def best(arguments, rounds):
    """Seconds of the fastest of several processes, and its peak in MB."""
    return min(process(arguments) for _ in range(rounds + 1))  # the first reads the files


def process(arguments):
    """Seconds and peak of one process."""
    start = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    child = os.posix_spawn(sys.executable, [sys.executable, *arguments], {**os.environ, "PYTHONPATH": str(ROOT)},
                           file_actions=silent)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{sys.executable} {' '.join(arguments)} failed; run it by hand to see why")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    print(table.HEADER, *(row.line() for row in rows(Namespace(rounds=5))), sep="\n")
