"""Backbones: pixels 0..255 RGB [B, H, W, 3] → features [B, D] float32, not normalised.

A family is one file and one line of the table. Its function has the keywords of `create` and makes
a functional Keras model whose first layer standardises the pixels and whose layers have fixed
names, so that weights can be matched by name and shape.
"""

import functools
import inspect

from tf_facenet import environment
from tf_facenet.backbones import own
from tf_facenet.lookup import check_options, lookup

# Families as text, so that only the one that is asked for is imported.
BACKBONES = {
    "inception_resnet_v1": "tf_facenet.backbones.inception_resnet_v1:inception_resnet_v1",
    "inception_resnet_v2": "tf_facenet.backbones.inception_resnet_v2:inception_resnet_v2",
    "iresnet18": "tf_facenet.backbones.iresnet:iresnet18",
    "iresnet34": "tf_facenet.backbones.iresnet:iresnet34",
    "iresnet50": "tf_facenet.backbones.iresnet:iresnet50",
    "iresnet100": "tf_facenet.backbones.iresnet:iresnet100",
    "iresnet200": "tf_facenet.backbones.iresnet:iresnet200",
    "mbf": "tf_facenet.backbones.mobilefacenet:mbf",
    "mobilefacenet": "tf_facenet.backbones.mobilefacenet:mobilefacenet",
    "mobilenet_v1": "keras:MobileNet",
    "mobilenet_v2": "keras:MobileNetV2",
    "mobilenet_v3": "keras:MobileNetV3Large",
    "small": "tf_facenet.backbones.small:small",
    "swin_t": "tf_facenet.backbones.swin:swin_t",
}

# ``prefix:name``: the function that builds all families of that kind; `name` is its first argument.
KINDS = {"keras": "tf_facenet.backbones.applications:application"}

COMMON = {"image_size", "embedding_size", "standardization", "keep_probability"}


def create(
    name, image_size, embedding_size, standardization="fixed", keep_probability=1.0, **options
):
    """Build a backbone by name.

    Args:
        name: an entry of `BACKBONES`, with or without facenet's prefix ``models.``; or
            ``keras:EfficientNetV2B0``, a network of keras.applications; or
            ``package.module:function`` or ``PATH.py:function``, a function with the same keywords as this one.
        image_size: side of the images, or (height, width).
        embedding_size: width D of the features.
        standardization: ``"fixed"``, ``"per_image"`` or ``"none"``; see `Standardize`.
        keep_probability: share of units that the dropout before the last layer keeps.
        **options: what the family takes besides, such as ``alpha`` of the MobileNets or ``window``
            of Swin.

    Returns:
        A `keras.Model`: images [B, H, W, 3] of any number type → features [B, D] float32.

    Raises:
        ValueError: no such name, a function that cannot be imported or gives no model, a size or an option that the
            family cannot take, or Keras puts the channels first; a function of one's own gives a model of another form.
        RuntimeError: see `environment.check_fork`.
    """
    environment.check_fork()
    environment.check_keras("image_data_format")
    import keras  # not by who only looks for a name

    family = _family(name)
    parameters = inspect.signature(family).parameters.values()
    if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters):
        known = {parameter.name for parameter in parameters} - COMMON
        check_options(options, known, f"Backbone {name!r}")
    try:
        model = family(image_size, embedding_size, standardization=standardization,
                       keep_probability=keep_probability, **options)
    except TypeError as error:
        if not options:
            raise
        given = ", ".join(f"{option}={value!r}" for option, value in options.items())
        raise ValueError(f"The backbone {name!r} cannot be built with {given}: {error}") from error
    if not isinstance(model, keras.Model):
        raise ValueError(f"The backbone {name!r} gives {type(model).__name__}; expected a "
                         "keras.Model that turns images into features.")
    if is_own(name):
        own.check(model, name, image_size, embedding_size)
    return model


def path_of(name):
    """Where the function of a backbone is, as text; ValueError if there is no such name."""
    return name if ":" in name else lookup(BACKBONES, name.removeprefix("models."), "backbone")


def is_own(name):
    """Whether the name of a backbone is a function outside this package."""
    return ":" in name and name.partition(":")[0] not in KINDS


def _family(name):
    """The function that builds a backbone."""
    path = path_of(name)
    kind, _, rest = path.partition(":")
    return functools.partial(_function(KINDS[kind]), rest) if kind in KINDS else _function(path)


def _function(path):
    """The object that ``package.module:function`` names."""
    module, function = own.split(path)
    try:
        return getattr(own.module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"Cannot import the backbone {path!r}: {error}. Expected package.module:function with the "
                         "module on PYTHONPATH, or PATH.py:function.") from error
