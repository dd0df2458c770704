"""What a command says: lines that a terminal shows and never obeys, and that nobody has to read.

Nothing else in the package or its scripts writes to stdout or stderr, so no name of a file or person reaches a terminal
as it is. A stream whose reader is gone, such as ``| head``, takes what is said and drops it: the work goes on.
"""

import os
import sys
import unicodedata

# Controls, marks of format such as those that turn the direction of a line, bytes that are no text, other line breaks.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_HARMLESS = "\t\u200c\u200d"  # tabs, and the format marks that Persian and Hindi words and some pictures need
_STREAMS = ("stdin", "stdout", "stderr")  # by number


def printable(text):
    r"""The text with ``\x1b``, ``\n``, ``\u202e`` instead of characters that a terminal would obey or hide.

    A backslash stays one, as paths of Windows have them.
    """
    return "".join(character.encode("unicode_escape").decode() if _is_hidden(character) else character
                   for character in text)


def _is_hidden(character):
    return unicodedata.category(character) in _HIDDEN and character not in _HARMLESS


def say(*lines):
    """Print lines on stdout, each made `printable`."""
    write("stdout", "".join(f"{printable(line)}\n" for line in lines))


def say_error(line):
    """Print a line on stderr, made `printable`."""
    write("stderr", f"{printable(line)}\n")


def write(stream, text):
    """Write text, control characters too, to ``"stdout"`` or ``"stderr"``; nothing happens if its reader is gone.

    Raises:
        OSError: it cannot be written for another reason, such as a full disk.
    """
    _try(stream, lambda: getattr(sys, stream).write(text))


def flush():
    """Write what waits for being written.

    Raises:
        OSError: it cannot be written, and somebody would read it.
    """
    for stream in _STREAMS[1:]:
        _try(stream, getattr(sys, stream).flush)


def _try(stream, action):
    try:
        action()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)  # for the rest, also of what Python writes when it ends
        os.dup2(null, getattr(sys, stream).fileno())
        os.close(null)
        if not isinstance(error, BrokenPipeError):
            raise


def open_missing():
    """Open the standard streams that the process was started without (``2>&-``) on the null device.

    Else Python has None for a stream, and the next file that is opened gets its number: what TensorFlow's C++ code
    says to number 2 would be written into it.
    """
    for number, name in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
