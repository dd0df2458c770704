"""The benchmarks that run on JAX: they need no TensorFlow; a row of gpu.py at the smallest size and on a CPU."""

import pathlib
import re
import subprocess
import sys

import pytest

from tests import process

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_a_row_of_ours():
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu.py", "--networks", "small", "--systems", "tf_facenet", "--classes", "20",
         "--heads", "sampled", "--rate", "0.5", "--batch_size", "4", "--steps", "2", "--image_size", "32"],
        cwd=ROOT, capture_output=True, text=True, check=True)
    row = done.stdout.splitlines()[-1]
    assert re.match(r"small +20 sampled +[1-9]\d* ", row), row


def test_they_start_without_tensorflow(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    done = process.python("-c", "import sys; sys.modules['tensorflow'] = None  # as if it were not installed\n"
                                "sys.path.append('benchmarks')  # as for scripts\n"
                                "import gpu, lfw_heads, lfw_triplets, lfw_views\n"
                                "from tf_facenet.training import schedules, trainer")
    assert done.returncode == 0, done.stderr
