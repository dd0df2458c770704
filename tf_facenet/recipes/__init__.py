"""Recipes: flags of a training script that belong together, with their reasons.

A recipe is a text file. Its first line names the script, every other one is part of a command line:
``--flag value  # why``. What `config` makes of the words is its own affair.
"""

import os
import shlex

FOLDER = os.path.dirname(__file__)
SUFFIX = ".txt"


def names():
    """The recipes that come with the package."""
    return sorted(name.removesuffix(SUFFIX) for name in os.listdir(FOLDER) if name.endswith(SUFFIX))


def read(name, script):
    """Words of a recipe, line by line.

    Args:
        name: a recipe of the package, or a file.
        script: the script that is going to run, such as "train_softmax.py".

    Returns:
        List of (place, words): "FILE, line 3" and ["--scale", "16"].

    Raises:
        ValueError: there is no such recipe, it is no text, or it is for another script.
    """
    path = os.path.join(FOLDER, name + SUFFIX)
    if name not in names():
        path = os.path.expanduser(name)
        if not os.path.exists(path):
            raise ValueError(f"--recipe {name!r} is neither a file nor a recipe of the package; these are: "
                             f"{', '.join(names())}")
    lines = [(place, words) for place, words in _lines(path, name) if words]
    if not lines or not lines[0][1][0].endswith(".py"):
        raise ValueError(f"--recipe {name!r} does not begin with the script that it is for, such as {script}")
    own = lines[0][1][0]
    if own != script:
        raise ValueError(f"--recipe {name!r} is for {own}, not for {script}: run python {own} --recipe {name}")
    return lines[1:]


def _lines(path, name):
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--recipe {name!r} cannot be read: {getattr(error, 'strerror', '') or 'it is no text'}. "
                         "Expected a file of '--flag value' lines") from error
    for number, line in enumerate(lines, 1):
        place = f"recipe {name}, line {number}"
        try:
            yield place, shlex.split(line, comments=True)
        except ValueError as error:  # a quotation that does not end
            raise ValueError(f"{place}: {error}".lower()) from None
