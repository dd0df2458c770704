"""All comparisons in one table, ours and the peers' in the same run: `make bench`.

    python benchmarks/all.py [--quick] [--only heads startup] [--torch_python PYTHON] [--tfa_python PYTHON]

Each subject runs in a process of its own, one after the other; a ratio above 1 says that ours is faster. Without an
interpreter that has PyTorch or tensorflow-addons their rows have no peer. The figures are appended to history.jsonl; a
row that is a fifth slower than the median of earlier runs on the same machine in the same mode is marked.
"""

import argparse
import dataclasses
import importlib
import json
import os
import pathlib
import subprocess
import sys
import time

import history
import table

SUBJECTS = ("startup", "backbones", "heads", "triplets", "verification", "input_pipeline", "records", "align")
PREFIX = "row "
FILE = pathlib.Path(__file__).with_name("history.jsonl")


def main():
    args = parse()
    if args.measure:
        for row in importlib.import_module(args.measure).rows(args):
            print(PREFIX + json.dumps(dataclasses.asdict(row)), flush=True)
        return 0
    print(f"{history.machine()}; {args.threads} threads\n{table.HEADER}")
    before, found, failed, start = history.earlier(FILE, args.quick), [], [], time.perf_counter()
    for subject in args.only:
        process = subprocess.Popen([sys.executable, __file__, "--measure", subject, *sys.argv[1:]],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        output, errors = process.communicate()
        for line in output.splitlines():
            if line.startswith(PREFIX):
                found.append(table.Row(**json.loads(line.removeprefix(PREFIX))))
                print(found[-1].line(history.remark(found[-1], before.get(found[-1].what))), flush=True)
        if process.returncode:
            failed.append(subject)
            print(f"{subject} failed: {(errors.strip() or 'without a word').splitlines()[-1]}", flush=True)
    if found and not args.no_history:
        history.append(FILE, found, args.quick)
    print(f"{(time.perf_counter() - start) / 60:.1f} minutes")
    return 1 if failed else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller sizes, within ten minutes")
    parser.add_argument("--only", nargs="+", default=SUBJECTS, choices=SUBJECTS)
    parser.add_argument("--torch_python", default="", help="interpreter that has PyTorch, and facenet-pytorch")
    parser.add_argument("--tfa_python", default="", help="interpreter that has tensorflow-addons 0.23")
    parser.add_argument("--threads", type=int, default=min(os.cpu_count(), 2))
    parser.add_argument("--rounds", type=int, help="of each measurement; default 5, quick 1")
    parser.add_argument("--no_history", action="store_true", help="do not note the figures")
    parser.add_argument("--measure", choices=SUBJECTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 5)
    return args


if __name__ == "__main__":
    sys.exit(main())
