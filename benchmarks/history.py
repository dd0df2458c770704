"""Earlier runs of the common table, a JSON object a line, and what has become slower since."""

import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess

from table import FASTER_IS_LESS

SLOWER = 1.2  # times the median of earlier runs on the same machine


def machine():
    """The processor and its cores, which figures are compared on."""
    lines = pathlib.Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in lines.read_text().splitlines() if line.startswith("model name")
             ] if lines.exists() else [platform.processor()]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def earlier(file, quick):
    """What → figures of earlier runs on this machine in the same mode."""
    runs = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    figures = {}
    for run in runs:
        if (run["machine"], run["quick"]) == (machine(), quick):
            for what, figure in run["figures"].items():
                figures.setdefault(what, []).append(figure)
    return figures


def remark(row, before):
    """What to say of a row beside the figures that it had before; "" if nothing."""
    if not before:
        return ""
    median = statistics.median(before)
    slower = row.ours / median if row.unit in FASTER_IS_LESS else median / row.ours
    return f"SLOWER than {median:.3g}, the median of {len(before)}" if slower > SLOWER else ""


def append(file, rows, quick):
    """Note the run."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True,
                            cwd=file.parent).stdout.strip()
    run = {"date": datetime.datetime.now().isoformat(timespec="seconds"), "commit": commit, "machine": machine(),
           "quick": quick, "figures": {row.what: row.ours for row in rows},
           "ratios": {row.what: round(row.ratio, 3) for row in rows if row.peer}}
    with file.open("a") as output:
        output.write(json.dumps(run) + "\n")
