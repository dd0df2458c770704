"""Dataclass ⇄ command line ⇄ JSON.

An options class is a dataclass whose fields are made by `option` and `positional`. A field is all
there is to an option: flag, type, default, choices, help and JSON follow from it. Groups of options
are base classes; their docstrings title the groups in ``-h``.
"""

import argparse
import ast
import dataclasses
import json
import os
import re
import sys


def option(default, help, *, choices=None, type=None, short=None):
    """A ``--flag`` of an options class, and ``-s`` if `short` is "s"; a ``False`` default makes it a switch."""
    metadata = {"help": help, "choices": choices, "type": type or default.__class__, "short": short}
    return dataclasses.field(default=default, metadata=metadata)


def positional(help, several=False):
    """A required argument without a flag, in the order of the class; the last may take several words, a list."""
    return dataclasses.field(default="", metadata={"help": help, "positional": True, "type": str,
                                                   "nargs": "+" if several else None})


def image_size(text):
    """``160`` or ``112x96`` (height x width) → ``160`` or ``(112, 96)``."""
    if isinstance(text, (list, tuple)):
        text = "x".join(map(str, text))
    sides = tuple(int(side) for side in str(text).lower().split("x"))
    if len(sides) > 2 or min(sides) < 1:
        raise ValueError(f"image size {text!r}: expected one positive number or HEIGHTxWIDTH")
    return sides[0] if len(sides) == 1 else sides


def place(text):
    """``left`` or ``0.5,0`` → where a larger image is cropped: shares of the rest that go at top and left."""
    try:
        shares = _PLACES.get(text, text.split(",")) if isinstance(text, str) else text
        down, across = map(float, shares)
        if 0 <= down <= 1 and 0 <= across <= 1:
            return down, across
    except (TypeError, ValueError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no place: expected {', '.join(_PLACES)}, or DOWN,ACROSS, two shares "
                                     "from 0 to 1")


def scale(text):
    """``64`` → ``64.0``; ``auto`` and None stay."""
    return text if text in ("auto", None) else float(text)


def settings(text):
    """``"alpha=0.5,depths=(2,2,2,2),neck=pool"`` → dict of numbers, tuples, true, false, none and text."""
    if isinstance(text, dict):  # as JSON has them
        return {name: tuple(value) if isinstance(value, list) else value for name, value in text.items()}
    pairs = [pair.partition("=") for pair in re.split(r",(?![^(]*\))", text) if pair.strip()]
    for name, equals, _ in pairs:
        if not equals or not name.strip().isidentifier():
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE,NAME=VALUE, such as alpha=0.5,neck=pool")
    return {name.strip(): _literal(value.strip()) for name, _, value in pairs}


def _literal(text):
    try:
        return ast.literal_eval(_WORDS.get(text.lower(), text))
    except (ValueError, SyntaxError):
        return text


def paths(text):
    """A path; given again, the flag adds another one, and the value is a list."""
    return text


class _Repeatable(argparse.Action):
    def __call__(self, _parser, namespace, value, _flag=None):
        self.values = [*getattr(self, "values", ()), value]
        setattr(namespace, self.dest, value if len(self.values) == 1 else self.values)


_PLACES = {"center": (0.5, 0.5), "left": (0.5, 0.0), "right": (0.5, 1.0), "top": (0.0, 0.5), "bottom": (1.0, 0.5)}
_WORDS = {"true": "True", "false": "False", "none": "None"}
_METAVARS = {int: "N", float: "X", str: "TEXT", image_size: "SIZE", scale: "X|auto", settings: "NAME=VALUE,...",
             paths: "PATH", place: "PLACE"}


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line on stderr, exit status 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} -h)\n")


class _Help(argparse.RawDescriptionHelpFormatter):
    def _get_help_string(self, action):
        shown = action.default not in (None, "", False, argparse.SUPPRESS) and action.option_strings
        return f"{action.help} (default {action.default})" if shown else action.help


def parser(cls, prog=None):
    """The `argparse` parser of an options class."""
    made = _Parser(prog=prog, description=cls.__doc__, formatter_class=_Help)
    for owner in reversed(cls.__mro__):
        fields = [f for f in dataclasses.fields(cls) if f.name in owner.__dict__.get(
            "__annotations__", {})]
        group = made.add_argument_group(owner.__doc__.rstrip(".")) if fields else made
        for field in fields:
            _add(group, field)
    required = " ".join(action.dest for action in made._get_positional_actions())
    made.usage = f"%(prog)s [options] {required}".rstrip()
    return made


def _add(group, field):
    meta = field.metadata
    if meta.get("positional"):
        group.add_argument(field.name, help=meta["help"], nargs=meta["nargs"])
        return
    kind = {"action": "store_true"} if field.default is False else {
        "type": meta["type"], "choices": meta["choices"],
        "metavar": None if meta["choices"] else _METAVARS.get(meta["type"]),
        "action": _Repeatable if meta["type"] is paths else "store"}
    flags = [f"-{meta['short']}"] * bool(meta["short"]) + [f"--{field.name}"]
    group.add_argument(*flags, default=field.default, help=meta["help"], **kind)


def parse(cls, argv=None, prog=None):
    """Command line → instance of `cls`; a mistake exits with status 2 and one line."""
    made = parser(cls, prog)
    try:
        return cls(**vars(made.parse_args(argv)))
    except ValueError as error:
        made.error(str(error))


def given(cls, argv=None):
    """Names of the options that the command line sets explicitly."""
    made = parser(cls)
    for action in made._actions:
        action.default = argparse.SUPPRESS
    return set(vars(made.parse_args(argv)))


def to_dict(options):
    """Options → plain values that JSON holds."""
    return dataclasses.asdict(options)


def save(options, path):
    """Write options as JSON."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(to_dict(options), file, indent=2)
        file.write("\n")


def load(cls, path):
    """Read options that `save` wrote; unknown names are an error."""
    with open(path, encoding="utf-8") as file:
        values = json.load(file)
    types = {field.name: field.metadata["type"] for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(types))
    if unknown:
        raise ValueError(f"options file {path!r}: unknown option {unknown[0]!r}")
    made = {image_size, settings, place}  # from what JSON holds
    return cls(**{name: types[name](value) if types[name] in made and value is not None else value
                  for name, value in values.items()})


def run(main):
    """Call a command's `main`; a user's mistake becomes one line and exit status 2.

    ``TF_FACENET_TRACEBACK=1`` shows the full traceback instead.
    """
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        if os.environ.get("TF_FACENET_TRACEBACK"):
            raise
        message = " ".join(str(error).split())
        sys.stderr.write(f"{os.path.basename(sys.argv[0])}: error: {message}\n")
        sys.exit(2)
