"""One worker of a small cluster: trains the loop of `tests.loops` with several heads, one after the other.

    python -m tests.worker INDEX HOST:PORT,HOST:PORT FILE CASE ...

The chief writes the variables of all cases into FILE (.npz).
"""

import sys

import numpy as np

from tests import loops
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


def train(strategy, case):
    """Terms and variables after STEPS steps."""
    return loops.train(strategy, STEPS, every=10, **CASES[case])


def main(index, workers, file, *cases):
    strategy = distribution.strategy(SoftmaxOptions(workers=workers, worker_index=int(index), batch_size=loops.BATCH))
    arrays = {}
    for case in cases:
        _, variables = train(strategy, case)
        arrays.update({f"{case}/{role}/{number:03d}": value
                       for role, values in variables.items() for number, value in enumerate(values)})
    if index == "0":
        np.savez(file, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
