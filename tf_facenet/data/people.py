"""Files that name people: LFW's people.txt, pairs files, or one name a line."""

import math
import re
import unicodedata
from collections import defaultdict

import numpy as np

from tf_facenet.data import pairs_layouts
from tf_facenet.files import atomic_write

_ACCENTS = 200  # combining classes from here on; marks below, as Japanese and Hindi have them, make other letters
_IN_WORDS = ("L", "N", "M", "Cs")  # letters, numbers, marks, and bytes that are no text

_FORMS = (  # of the lines of pairs.txt and people.txt, the first that fits counts; groups are names, S separates
    r"(.+?)S\d+S(.+)S\d+",
    r"(.+?)(?:S\d+){1,2}",
    r"([^\t]+)\t.*",
)


def composed(name):
    """The name with each "é" as one character (NFC); folders of macOS have it as two."""
    return unicodedata.normalize("NFC", name)


def listed(path, names, key=composed):
    """Which people a file names.

    Args:
        path: file with a name a line, alone or as LFW's people and pairs files have it, or a pairs file of another of
            `pairs_layouts`. A line that is the whole name of a person is not taken apart. Spaces around a name count
            if somebody is called so.
        names: [C] names of people.
        key: names with the same key are the same.

    Returns:
        bool [C].

    Raises:
        OSError: the file cannot be read.
    """
    return found(path, names, key)[0]


def found(path, names, key=composed):
    """``(chosen, unknown)``: what `listed` says, and the names of the file that nobody has, each once."""
    people = defaultdict(list)
    for label, name in enumerate(names):
        people[key(name)].append(label)

    def labels(name):
        return people.get(key(name)) or people.get(key(name.strip()), [])

    chosen, unknown = np.zeros(len(names), bool), {}
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        text = file.read()
    named = pairs_layouts.people(text) or (
        name for line in _lines(text) for name in ([line] if labels(line) else _names(line)))
    for name in named:
        own = labels(name)
        chosen[own] = True
        if not own:
            unknown[name.strip()] = None
    return chosen, list(unknown)


def plain(name):
    """The name without case, accents and punctuation: "Al_Gore" and "al gore" are one."""
    letters = [c for c in unicodedata.normalize("NFKD", name).casefold() if unicodedata.combining(c) < _ACCENTS]
    words = "".join(c if unicodedata.category(c).startswith(_IN_WORDS) else " " for c in letters).split()
    return " ".join(words) or name


def one_line(name):
    """Return a name that a line of a text file can hold.

    Raises:
        ValueError: it has a tab or a line break.
    """
    if set(name) & set("\t\n\r"):
        raise ValueError(f"The name {name!r} has a tab or a line break, which lists of people and of pairs cannot "
                         "hold. Rename the file or folder.")
    return name


def write_people(path, faces):
    """Write the people of `Faces` as LFW does: their number, then ``name<TAB>images`` a line.

    Raises:
        OSError: the file cannot be written.
        ValueError: a name has a tab or a line break.
    """
    counts = np.bincount(faces.labels, minlength=faces.num_classes)
    lines = [f"{one_line(name)}\t{count}\n" for name, count in zip(faces.names, counts, strict=True)]
    text = f"{len(lines)}\n" + "".join(lines)
    with atomic_write(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def _lines(text):
    """Lines with something on them, without the first if it only counts the others."""
    lines = [line for line in text.split("\n") if line.strip()]
    first, others = "".join(lines[:1]).split(), len(lines) - 1
    if all(map(str.isdecimal, first)) and math.prod(map(int, first)) in (others, others / 2):
        return lines[1:]
    return lines


def _names(line):
    if "\t" in line.strip():
        line, separator = line.rstrip(), r"\t"  # a name before a tab may end in a number and begin with a space
    else:
        line, separator = line.strip(), r"\s+"
    matches = (re.fullmatch(form.replace("S", separator), line) for form in _FORMS)
    return next((match.groups() for match in matches if match), [line])
