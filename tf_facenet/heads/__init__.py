"""Heads: (features [B, D], labels [B]) → (logits [B, C'], targets [B])."""

import inspect

from tf_facenet.heads.adaptive import AdaFace, CurricularFace, MagFace
from tf_facenet.heads.cosine import CosineHead
from tf_facenet.heads.margins import ArcFace, Combined, CosFace, Margin, SphereFace
from tf_facenet.heads.softmax import Softmax
from tf_facenet.lookup import check_options, lookup

MARGINS = {
    "sphereface": SphereFace,
    "cosface": CosFace,
    "arcface": ArcFace,
    "combined": Combined,
    "adaface": AdaFace,
    "magface": MagFace,
    "curricularface": CurricularFace,
}
HEADS = {"softmax": Softmax, **dict.fromkeys(MARGINS, CosineHead)}

__all__ = ["HEADS", "MARGINS", "CosineHead", "Margin", "Softmax", "check", "create",
           *(margin.__name__ for margin in MARGINS.values())]


def create(name, num_classes, embedding_size, **options):
    """Build a head by name.

    Args:
        name: an entry of `HEADS`.
        num_classes: number of classes C.
        embedding_size: width D of the features.
        **options: what the head takes, and what its margin takes.

    Returns:
        A built `Head`: ``logits, targets = head(features, labels)``.

    Raises:
        ValueError: no such head, an option that it does not take, or one out of range.
    """
    head = make(name, num_classes, **options)
    head.build((None, embedding_size))
    return head


def check(name, **options):
    """Raise ValueError for what `create` would refuse, before the classes are known."""
    make(name, 1_000_000, **options)


def make(name, num_classes, **options):
    """What `create` does, without building: the head has no centres yet."""
    head = lookup(HEADS, name, "head")
    own = _arguments(head) - {"num_classes", "margin", "name"}
    margin = _arguments(MARGINS[name]) if name in MARGINS else set()
    check_options(options, own | margin, f"Head {name!r}")
    arguments = {option: value for option, value in options.items() if option in own}
    if margin:
        arguments["margin"] = MARGINS[name](**{
            option: value for option, value in options.items() if option in margin})
    return head(num_classes, **arguments)


def _arguments(cls):
    """Names that the constructors of a class and of its bases in this package take."""
    names = {parameter.name for base in cls.__mro__ if base.__module__.startswith(__name__)
             for parameter in inspect.signature(base.__init__).parameters.values()
             if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)}
    return names - {"self"}
