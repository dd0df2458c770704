"""One process on some devices, or one of several processes: trains the loop of `tests.loops` with several heads."""

import numpy as np

from tests import loops
from tf_facenet import config
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import distribution

STEPS = 20
CASES = {
    "softmax and center loss": {},
    "arcface": {"head": "arcface", "scale": 16.0},
    "adaface": {"head": "adaface", "scale": 16.0},
    "triplets": {"head": "triplets"},
    "sampled and accumulated": {"head": "cosface", "classes": 40, "scale": 16.0, "sample_rate": 0.5, "center": False,
                                "accumulate": 2, "batch_norm": False, "steps_per_execution": 3},
}


def train_all(strategy):
    """The variables of all cases after STEPS steps, by case, role and number."""
    arrays = {}
    for case, options in CASES.items():
        _, variables = loops.train(strategy, STEPS, every=10, **options)
        arrays.update({f"{case}/{role}/{number:03d}": value
                       for role, values in variables.items() for number, value in enumerate(values)})
    return arrays


def main(file, *flags):
    """Train with these flags of the script; the chief writes the variables of all cases into a file (.npz)."""
    options = config.parse(SoftmaxOptions, [*flags, "--batch_size", str(loops.BATCH)])
    arrays = train_all(distribution.strategy(options))
    if not options.worker_index:
        np.savez(file, **arrays)
