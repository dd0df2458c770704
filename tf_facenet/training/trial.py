"""A backbone of one's own, before it is trained: could the finished model be loaded again?"""

import contextlib
import logging
import tempfile
from pathlib import Path

import keras
import numpy as np

from tf_facenet import backbones
from tf_facenet.inference import model_file
from tf_facenet.inference.metadata import MODEL

logger = logging.getLogger(__name__)


def check(model, name, known):
    """Save a network and load it again as a process does that has imported its module but not built it.

    Networks of this package are not tried.

    Args:
        model: what `backbones.create` made.
        name: of the backbone.
        known: what `backbones.own.objects` gave before.

    Raises:
        ValueError: it cannot be saved, or not be loaded, or is another network then; the message says why.
    """
    if not backbones.is_own(name):
        return
    pixels = np.random.default_rng(0).integers(0, 256, (2, *model.input_shape[1:])).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        try:
            loaded = _loaded_again(model, Path(folder, MODEL), known)
        except OSError as error:  # which is no fault of the network
            logger.warning("Not tried whether the backbone %r can be loaded again: %s", name, error.strerror or error)
            return
        except Exception as error:  # of Keras, or of the layers' own code
            raise ValueError(f"The backbone {name!r} can be trained, but no command could load the model: "
                             f"{model_file.reason(error)}. Define its layers, and register its functions with "
                             "@keras.saving.register_keras_serializable(), at the top of its module; get_config must "
                             "return what __init__ takes.") from error
    before, after = (keras.ops.convert_to_numpy(net(pixels, training=False)) for net in (model, loaded))
    if not np.allclose(before, after, rtol=1e-3, atol=1e-3 * np.abs(before).max()):
        raise ValueError(f"The backbone {name!r} gives other features once it has been saved and loaded. Look whether "
                         "get_config of each layer returns all that __init__ takes, and whether the features are the "
                         "same at each call.")


def _loaded_again(model, path, known):
    model.save(path)
    with _registered(known):
        model_file.check_classes(path, None)
        return keras.saving.load_model(path, compile=False, safe_mode=True)


@contextlib.contextmanager
def _registered(known):
    """Only this, and the layers of this package, are known to Keras."""
    registry = keras.saving.get_custom_objects()
    now = dict(registry)
    registry.clear()
    registry.update(known, **{name: value for name, value in now.items() if value.__module__.startswith("tf_facenet.")})
    try:
        yield
    finally:
        registry.clear()
        registry.update(now)
