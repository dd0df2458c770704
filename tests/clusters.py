"""Several processes that train together on this machine."""

import os
import subprocess
import sys
import time

from tests.conftest import ROOT

QUIET = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}


def start(*arguments):
    """A Python process; what it says goes into its ``stdout``."""
    return subprocess.Popen([sys.executable, *map(str, arguments)], cwd=ROOT, env={**os.environ, **QUIET}, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(processes, seconds=500):
    """(exit status, output) of each process; those that do not end in time are killed."""
    deadline = time.monotonic() + seconds
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in processes:
        process.kill()
    return [(process.wait(), process.communicate()[0]) for process in processes]
