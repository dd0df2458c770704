"""Whether all who take part in a training, workers and resumed runs, mean the same options and the same faces."""

import hashlib
import json
import logging

from tf_facenet import config

logger = logging.getLogger(__name__)


def shared_options(options, **more):
    """The options that all workers must have in common, as a dict."""
    own = config.names(type(options), "per_worker", True)  # such as where the faces are; what they are, `facts` compare
    return {name: value for name, value in {**config.to_dict(options), **more}.items() if name not in own}


def facts(faces):
    """What tells one training set from another, as JSON holds it: counts, and digests of names and labels."""
    return {"people": faces.num_classes, "images": len(faces),
            "names": _digest("\0".join(faces.names).encode("utf-8", "surrogateescape")),
            "labels": _digest(faces.labels.astype("<i8").tobytes())}


def _digest(data):
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def check_workers(workers, own):
    """Raise ValueError on all workers if one has other faces than the chief.

    Args:
        workers: `workers.Workers`.
        own: `facts` of this worker's faces.
    """
    chief, *others = workers.exchange(own)
    for index, theirs in enumerate(others, 1):
        if theirs != chief:
            raise ValueError(f"worker {index} has another --data_dir than the chief: {_compared(theirs, chief)}; give "
                             "all workers the same faces")


def check_resumed(path, faces):
    """Raise ValueError if a run is resumed with other people; warn if they have other images.

    Args:
        path: where the run keeps the `facts` of its faces; nothing is checked if a run of an older version does not.
        faces: `Faces` that it is resumed with.
    """
    own = facts(faces)
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else own
    if before == own:
        return
    if (before["people"], before["names"]) != (own["people"], own["names"]):
        raise ValueError(f"--data_dir is not what the run began with: {_compared(own, before)}. The classes of the "
                         "head are those people; give the same data, or start a new run with --pretrained_model")
    logger.warning("--data_dir has changed since the run began: %s; it goes on with other batches",
                   _compared(own, before))


def _compared(one, other):
    if one["names"] == other["names"]:
        return f"{one['images']} images against {other['images']}, of the same people" + (
            "" if one["images"] != other["images"] else ", divided otherwise")
    return (f"{one['people']} people against {other['people']}"
            + (", with other names or in another order" if one["people"] == other["people"] else ""))
