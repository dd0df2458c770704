"""Dataclass ⇄ command line ⇄ JSON.

An options class is a dataclass whose fields are made by `option` and `positional`. A field is all
there is to an option: flag, type, default, choices, help and JSON follow from it. Groups of options
are base classes; their docstrings title the groups in ``-h``. An option "recipe" names a file of more
of the command line, which what is typed overrides.
"""

import argparse
import ast
import dataclasses
import inspect
import os
import re
import signal
import sys
import traceback

from tf_facenet import recipes, terminal
from tf_facenet.files import check_target, parse_json, write_json

# What becomes of an option when a run is resumed: it stays, since it decides what is learned; it may change; or it says
# what a process is and not what its run is, and is never taken from the run.
FIXED, FREE, OF_PROCESS = "fixed", "free", "of process"


def option(default, help, *, choices=None, type=None, short=None, old="", writes=None,  # noqa: PLR0913  (facts of an option)
           resume=FIXED, per_worker=False):
    """A ``--flag`` of an options class, and ``-s`` if `short` is "s"; a default of True or False makes it a switch.

    ``--no_flag`` turns off a switch that is on by default or that a recipe turns on; `old` is a name that it had in
    older versions; `writes` is what comes to be at this path, see `files.check_target`. A field whose name Python keeps
    for itself ends in _, its flag does not. `resume` says whether it may change on the way, `per_worker` whether it may
    differ between the workers of a training.
    """
    metadata = {"help": help, "choices": choices, "type": type or default.__class__, "short": short, "old": old,
                "writes": writes, "resume": resume, "per_worker": per_worker}
    return dataclasses.field(default=default, metadata=metadata)


def positional(help, several=False, writes=None):
    """A required argument without a flag, in the order of the class; the last may take several words, a list."""
    return dataclasses.field(default="", metadata={"help": help, "positional": True, "type": str,
                                                   "nargs": "+" if several else None, "writes": writes})


def image_size(text):
    """``160`` or ``112x96`` (height x width) → ``160`` or ``(112, 96)``."""
    if isinstance(text, (list, tuple)):
        text = "x".join(map(str, text))
    sides = [int(side) if side.isdecimal() else 0 for side in str(text).lower().split("x")]
    if len(sides) > 2 or min(sides) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no image size: expected one positive number or HEIGHTxWIDTH")
    return sides[0] if len(sides) == 1 else tuple(sides)


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


def precision(text):
    """``bfloat16``, which Keras calls ``mixed_bfloat16``."""
    return str(text).removeprefix("mixed_")


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
    if not all(isinstance(path, str) for path in (text if isinstance(text, list) else [text])):
        raise ValueError(f"{text!r:.80} is no path")
    return text


class _Repeatable(argparse.Action):
    def __call__(self, _parser, namespace, value, _flag=None):
        self.values = [*getattr(self, "values", ()), value]
        setattr(namespace, self.dest, value if len(self.values) == 1 else self.values)


_PLACES = {"center": (0.5, 0.5), "left": (0.5, 0.0), "right": (0.5, 1.0), "top": (0.0, 0.5), "bottom": (1.0, 0.5)}
_PLACE_NAMES = {str(shares): name for name, shares in _PLACES.items()}
_WORDS = {"true": "True", "false": "False", "none": "None"}
_METAVARS = {int: "N", float: "X", str: "TEXT", image_size: "SIZE", scale: "X|auto", settings: "NAME=VALUE,...",
             paths: "PATH", place: "PLACE"}


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line on stderr, exit status 2."""
        terminal.say_error(f"{self.prog}: error: {message} (see {self.prog} -h)")
        self.exit(2)


class _Help(argparse.RawDescriptionHelpFormatter):
    def _get_help_string(self, action):
        shown = action.default not in (None, "", True, False, argparse.SUPPRESS) and action.option_strings
        default = _PLACE_NAMES.get(str(action.default), action.default)
        return f"{action.help} (default {default})" if shown else action.help


def parser(cls, prog=None):
    """The `argparse` parser of an options class."""
    made = _Parser(prog=prog, description=inspect.cleandoc(cls.__doc__), formatter_class=_Help)
    owners = {name: owner for owner in reversed(cls.__mro__) for name in owner.__dict__.get("__annotations__", {})}
    for owner in reversed(cls.__mro__):
        fields = [field for field in dataclasses.fields(cls) if owners[field.name] is owner]
        group = made.add_argument_group(owner.__doc__.rstrip(".")) if fields and owner is not cls else made
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
    is_switch = isinstance(field.default, bool)
    kind = {"action": "store_true"} if is_switch else {
        "type": meta["type"], "choices": meta["choices"],
        "metavar": None if meta["choices"] else _METAVARS.get(meta["type"]),
        "action": _Repeatable if meta["type"] is paths else "store"}
    flags = [f"-{meta['short']}"] * bool(meta["short"]) + [
        f"--{field.name.rstrip('_')}"] + [f"--{meta['old']}"] * bool(meta["old"])
    group.add_argument(*flags, dest=field.name, default=field.default, help=meta["help"], **kind)
    if is_switch:
        group.add_argument(f"--no_{field.name}", action="store_false", dest=field.name, default=argparse.SUPPRESS,
                           help="turns this off" if field.default else argparse.SUPPRESS)


def parse(cls, argv=None, prog=None):
    """Command line → instance of `cls`; a mistake, or a path that cannot be written, exits with status 2 and a line."""
    made = parser(cls, prog)
    values = vars(made.parse_args(argv))
    try:
        if values.get("recipe"):
            values |= _from_recipe(cls, values["recipe"]) | vars(_typed_parser(cls).parse_args(argv))
        options = cls(**values)
        for field in dataclasses.fields(cls):
            if field.metadata.get("writes") and values[field.name]:
                check_target(values[field.name], field.metadata["writes"])
    except (ValueError, OSError) as error:
        made.error(str(error))
    return options


def given(cls, argv=None):
    """Names of the options that the command line sets explicitly."""
    return set(vars(_typed_parser(cls).parse_args(argv)))


def _typed_parser(cls):
    """A parser that leaves out what is not said."""
    made = parser(cls)
    for action in made._actions:
        action.default = argparse.SUPPRESS
    return made


def _from_recipe(cls, name):
    """Values that a recipe sets; a mistake in it is a ValueError that says where."""
    made, values = _typed_parser(cls), {}
    made.error = _refuse
    for place, words in recipes.read(name, cls.SCRIPT):
        try:
            new = vars(made.parse_args(words))
            if "recipe" in new:
                raise ValueError("a recipe cannot name another one")
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        values |= new
    return values


def _refuse(message):
    raise ValueError(message)


def names(cls, fact, value):
    """Names of the options of a class of which a fact, such as "resume", has this value."""
    return {field.name for field in dataclasses.fields(cls) if field.metadata.get(fact) == value}


def to_dict(options):
    """Options → plain values that JSON holds."""
    return dataclasses.asdict(options)


def save(options, path):
    """Write options as JSON, whole or not at all."""
    write_json(path, to_dict(options))


def load(cls, path):
    """Read options that `save` wrote.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, has an unknown option, or a value that an option cannot have; the message names it.
    """
    with open(path, "rb") as file:
        values = parse_json(file.read(), path)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    renamed = {field.metadata.get("old"): name for name, field in fields.items()}
    values = {renamed.get(name, name): value for name, value in values.items()}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f"options file {str(path)!r}: unknown option {unknown[0]!r}; expected those of "
                         f"{getattr(cls, 'SCRIPT', cls.__name__)}")
    try:
        return cls(**{name: _from_json(fields[name], value) for name, value in values.items()})
    except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
        raise ValueError(f"options file {str(path)!r}: {error}") from None


def _from_json(field, value):
    """The value of an option, from what JSON holds; ValueError if it is of another kind."""
    kind, choices = field.metadata["type"], field.metadata.get("choices")
    if value is None and field.default is None:
        return None
    value = value if kind in _PLAIN else kind(value)
    if type(value) not in _PLAIN.get(kind, (type(value),)) or (choices and value not in choices):
        expected = ", ".join(map(str, choices or [kind.__name__]))
        raise ValueError(f"{field.name} is {value!r:.80}; expected {expected}")
    return value


_PLAIN = {bool: (bool,), str: (str,), int: (int,), float: (int, float)}  # type of an option → types in JSON


def run(main):
    """Call a command's `main`, and end the process with the status that it returns.

    A user's mistake becomes one line and exit status 2, Ctrl-C one and 130, and what nobody expected one and 1.
    ``TF_FACENET_TRACEBACK=1`` shows the full traceback instead.
    """
    terminal.open_missing()
    try:
        try:
            status = main()
        finally:
            terminal.flush()
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("TF_FACENET_TRACEBACK"):
            raise
        status, message = _told(error)
        terminal.say_error(f"{os.path.basename(sys.argv[0])}: {message}")
    sys.exit(status)


def _told(error):
    """The exit status and the line for an error; how to see more only where the line may not say enough."""
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT, "interrupted"
    text, hint = " ".join(str(error).split()), " (set TF_FACENET_TRACEBACK=1 to see where)"
    if isinstance(error, (ValueError, OSError)):
        return 2, f"error: {text}{hint if _is_of_a_library(error) else ''}"
    return 1, f"unexpected {type(error).__name__}: {text}{hint}"


def _is_of_a_library(error):
    """Whether an installed package beside this one raised it, in its own words."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    path = os.path.abspath(frame.f_code.co_filename)
    return "-packages" + os.sep in path and not path.startswith(os.path.dirname(__file__))
