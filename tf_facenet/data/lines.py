r"""Names and paths in text files, one a line; in them ``\n``, ``\r``, ``\t`` and ``\\`` stand for one character.

Names that are not UTF-8 are the bytes that the file system knows them by.
"""

import re

_CHARACTERS = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPES = {ord(character): f"\\{letter}" for letter, character in _CHARACTERS.items()}


def escaped(name):
    """A name on one line."""
    return name.translate(_ESCAPES)


def unescaped(text):
    """The name that `escaped` made a text of."""
    return re.sub(r"\\([\\nrt])", lambda match: _CHARACTERS[match[1]], text)


def read_lines(path):
    """The list of `each_line`."""
    return list(each_line(path))


def each_line(path):
    """Lines of a file, still escaped, without the mark of UTF-8 that some editors put before the first."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        for line in file:
            yield line.rstrip("\r\n")


def write_lines(path, lines):
    """Write escaped lines to a file."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
