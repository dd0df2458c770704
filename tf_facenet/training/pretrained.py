"""Start from other weights: by layer name and shape."""

import fnmatch
import json
import logging
import warnings
from pathlib import Path

import keras

from tf_facenet.inference import model_file
from tf_facenet.training import cleaning
from tf_facenet.training.checkpoints import Checkpoints
from tf_facenet.training.checkpoints import load as load_variables
from tf_facenet.training.inputs import check_pretrained

logger = logging.getLogger(__name__)


def load(backbone, path, custom_objects=None):
    """Copy weights into a backbone, layer by layer.

    A layer is loaded if the source has one of its name with the same shapes. What was loaded,
    skipped (other shapes) or missing (not in the source) is logged.

    Args:
        backbone: Keras model.
        path: run folder, ``.keras`` file, or ``.weights.h5`` file of the same network.
        custom_objects: see `model_file.load_model`.

    Returns:
        dict with the lists of layer names ``loaded``, ``skipped``, ``missing``.

    Raises:
        OSError: no such file.
        ValueError: nothing fits, so it is another network.
    """
    check_pretrained(path)
    source = _source(backbone, path, custom_objects)
    names = {"loaded": [], "skipped": [], "missing": []}
    for layer in _weighted_layers(backbone):
        weights = source.get(layer.name)
        if weights is None:
            names["missing"].append(layer.name)
        elif [w.shape for w in weights] != [tuple(w.shape) for w in layer.weights]:
            names["skipped"].append(layer.name)
        else:
            layer.set_weights(weights)
            names["loaded"].append(layer.name)
    if not names["loaded"]:
        raise ValueError(f"--pretrained_model {path!r}: no layer has the name and shape of one of "
                         f"{backbone.name!r}; expected weights of the same network")
    for kind, layers in names.items():
        logger.info("Pretrained model: %d layers %s%s", len(layers), kind,
                    f": {', '.join(layers)}" if layers and kind != "loaded" else "")
    return names


def load_head(head, path, class_names):
    """Copy the centres of a run that was trained on the same people; otherwise the head stays new.

    A margin's warm-up and statistics begin anew. After ``tf-facenet clean`` a head with one centre a class starts from
    the dominant ones.

    Args:
        head: Keras layer.
        path: what `load` was given; only a run folder with checkpoints holds a head.
        class_names: the people of this training.

    Returns:
        Whether the head was loaded.
    """
    dominant = Path(path, cleaning.CENTERS)
    if dominant.is_file() and getattr(head, "sub_centers", 0) == 1:
        rows = cleaning.read_dominant(dominant, class_names)
        if rows is not None and rows.shape == (head.num_classes, head.centers.shape[1]):
            head.fill(rows)
            logger.info("Pretrained model: the head starts from the dominant centres of %s", path)
            return True
    paths = Checkpoints(Path(path, "checkpoints")).paths()
    if not paths:
        logger.info("Pretrained model: the head is new; %s holds none", path)
        return False
    metadata = Path(path, "metadata.json")
    before = json.loads(metadata.read_text(encoding="utf-8"))["class_names"] if metadata.is_file() else []
    if before != list(class_names):
        logger.info("Pretrained model: the head is new; %d classes before, %d now%s", len(before),
                    len(class_names), ", of other names" * (len(before) == len(class_names)))
        return False
    of_margin = {id(variable) for variable in head.margin.weights} if hasattr(head, "margin") else ()  # begin anew
    if not load_variables(head.lasting([own for own in head.weights if id(own) not in of_margin]), paths[-1]):
        logger.info("Pretrained model: the head is new; %s had another one", path)
        return False
    logger.info("Pretrained model: the head is loaded; the classes are the same")
    return True


def _source(backbone, path, custom_objects):
    if str(path).endswith(".weights.h5"):
        model = keras.models.clone_model(backbone)
        try:
            with warnings.catch_warnings():  # Keras warns of what it then fails on
                warnings.simplefilter("ignore", UserWarning)
                model.load_weights(path)
        except (ValueError, KeyError) as error:
            raise ValueError(f"--pretrained_model {path!r} does not fit {backbone.name!r}; a "
                             "weights file must be of the same network and sizes. A .keras file "
                             "may differ in its last layers") from error
    else:
        model, _ = model_file.load_model(path, custom_objects)
    return {layer.name: layer.get_weights() for layer in _weighted_layers(model)}


def _weighted_layers(model):
    return [layer for layer in model.layers if layer.weights]


def freeze(backbone, patterns):
    """Stop training the layers whose names match.

    Args:
        backbone: Keras model.
        patterns: comma-separated shell patterns, such as ``"Conv2d_*,Mixed_6a*"``.

    Raises:
        ValueError: a pattern matches no layer.
    """
    names = [layer.name for layer in _weighted_layers(backbone)]
    for pattern in filter(None, patterns.split(",")):
        matching = fnmatch.filter(names, pattern.strip())
        if not matching:
            raise ValueError(f"--freeze {pattern!r} matches no layer; the layers are called "
                             f"{', '.join(names[:3])} … {names[-1]}")
        for name in matching:
            backbone.get_layer(name).trainable = False
        logger.info("Frozen: %d layers match %s", len(matching), pattern)
