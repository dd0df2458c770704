"""Does it learn at all? The loss that an untrained network has, and a warning if it stays there."""

import logging
import math

import numpy as np

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
    loss = float(head.cross_entropy(features, labels)[0])
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


class CollapseWatch:
    """Warns once if triplet training pulls all embeddings into one point.

    Then every distance goes to 0 and the loss to what a triplet without distances costs: the
    margin (facenet's users see 0.2 for ever).

    Args:
        triplet_loss: the `losses.TripletLoss`.
    """

    SHRUNK = 0.1  # of the distance at first

    def __init__(self, triplet_loss):
        self.collapsed = float(triplet_loss.ramp.value(np.float32(triplet_loss.ramp.margin)))
        self.first = None
        self.done = False

    def see(self, steps):
        """Look at steps: a list of (step, dict of floats) with triplet loss and distances."""
        means = {name: float(np.mean([terms[name] for _, terms in steps]))
                 for name in ("triplet_loss", "negative_distance")}
        self.first = self.first or means["negative_distance"]
        at_the_margin = abs(means["triplet_loss"] / self.collapsed - 1) < 0.05
        if not self.done and at_the_margin and means["negative_distance"] < self.SHRUNK * self.first:
            self.done = True
            logger.warning(
                "After %d steps the triplet loss is %.3f, the cost of no distance at all, and different "
                "people are %.3f apart (%.3f at first): the embeddings collapse into one point. Start "
                "from a network trained with softmax (--pretrained_model), use --mining semi_hard, lower "
                "--learning_rate or add --softmax_loss_factor 1", steps[-1][0], means["triplet_loss"],
                means["negative_distance"], self.first)


def patience(epoch_size):
    """Steps after which something must have been learned: an epoch, at least 200, at most 2,000."""
    return max(200, min(epoch_size, 2000))

