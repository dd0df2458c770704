"""Damaged record files at random: each must be read or refused in a line that names it, in little time and memory.

    PYTHONPATH=. python benchmarks/fuzz_records.py 100000 --seed 0

What is damaged and what is asked of each is in tests/record_mutations.py.
"""

import argparse
import pathlib
import resource
import signal
import tempfile

from tests import record_mutations

SECONDS = 5  # for one file; then the process is killed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        refused, accepted = record_mutations.run(args.count, args.seed, pathlib.Path(folder), report)
    print(f"\n{refused} refused, {accepted} read")


def report(number, refused):
    signal.alarm(SECONDS)
    if number % 1000 == 0:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"\r{number}, {refused} of them refused, {peak} MB in all", end="", flush=True)


if __name__ == "__main__":
    main()
