"""Real subprocesses for tests."""

import os
import subprocess
import sys

from tests.conftest import ROOT


def python(*arguments, cwd=ROOT):
    """Run Python with the package importable; returns the CompletedProcess with its texts."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=120, check=False)
