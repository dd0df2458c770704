"""Does it learn at all? The loss that an untrained network has, and a warning if it stays there."""

import logging
import math

import numpy as np
from keras import ops

logger = logging.getLogger(__name__)

# −ln of the smallest probability: arcface_torch's clamp at 1e-30, and the smallest float32.
UNDERFLOWS = (-math.log(1e-30), -math.log(float(np.finfo(np.float32).tiny)))
REMEDIES = "look at labels and alignment, lower --scale or --margin, or warm up with --head softmax"


def expected_loss(head, embedding_size, num_samples=16, seed=0):
    """Cross-entropy of a head on features of random direction: what training begins with.

    About ln C + s² / 2D + the cost of the margin, while s² / D is below 2 ln C; measured on the
    head itself, so that it holds for any margin, sub-centres and filtering.

    Args:
        head: a built `heads.head.Head`.
        embedding_size: D.
        num_samples: random features; costs num_samples · C · D multiplications.
        seed: of the features.

    Returns:
        float.
    """
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((num_samples, embedding_size)).astype("float32")
    labels = rng.integers(0, head.num_classes, num_samples).astype("int32")
    logits, targets = head(features, labels)
    loss = float(ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)))
    # A step that sees a share of the classes has that share of the denominator.
    return loss + math.log(head.num_sampled / head.num_classes) if head.samples else loss


class LossWatch:
    """Warns once if the cross-entropy after `patience` steps is still what it was at first.

    Args:
        expected: `expected_loss` of the head.
        patience: steps to wait.
        step: finished steps; a run that is resumed beyond its patience is not watched any more.
    """

    def __init__(self, expected, patience, step=0):
        self.expected, self.patience = expected, patience
        self.done = step >= patience

    def see(self, steps):
        """Look at steps: a list of (step, dict of floats) with ``xent``."""
        if self.done or steps[-1][0] < self.patience:
            return
        self.done = True
        xent = float(np.mean([terms["xent"] for _, terms in steps]))
        if xent < 0.95 * self.expected:
            return
        if xent > 1.05 * self.expected and any(abs(xent / value - 1) < 0.01 for value in UNDERFLOWS):
            logger.warning("After %d steps the cross-entropy is %.2f, minus the logarithm of the "
                           "smallest number: the targets have no probability left. %s",
                           steps[-1][0], xent, REMEDIES.capitalize())
        else:
            logger.warning("After %d steps the cross-entropy is %.2f; an untrained network has %.2f. "
                           "If it does not fall soon, %s", steps[-1][0], xent, self.expected,
                           REMEDIES)


def patience(epoch_size):
    """Steps after which something must have been learned: an epoch, at least 200, at most 2,000."""
    return max(200, min(epoch_size, 2000))

