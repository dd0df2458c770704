"""What a command says: what reaches a terminal, and readers that are gone or were never there."""

import ast
import logging
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tf_facenet import config, logs, terminal
from tf_facenet.options import SoftmaxOptions

WRITER = """
import logging, sys
from pathlib import Path
from tf_facenet import config, logs, terminal
def main():
    logs.to_stdout()
    for _ in range(20_000):
        terminal.say("a line")
        logging.getLogger("tf_facenet").info("a line")
    Path(sys.argv[1]).write_text("done")
config.run(main)
"""
STREAMLESS = """
import os, sys
from tf_facenet import config, logs, terminal
def main():
    opened = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
    os.write(2, b"what C++ code says")
    os.write(opened, b"own")
    terminal.say("a line")
    terminal.say_error("a line")
    logs.to_stdout()
    return len(sys.stdin.read())
config.run(main)
"""


@pytest.mark.parametrize(("text", "shown"), [
    ("Zoë, 山田　太郎, C:\\faces", "Zoë, 山田　太郎, C:\\faces"),
    ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
    ("a\nAccuracy: 1.000\r", "a\\nAccuracy: 1.000\\r"), ("Loss 1.0\tXent 2.0", "Loss 1.0\tXent 2.0"),
    ("gpj.\u202eexe", "gpj.\\u202eexe"),  # would be shown as exe.jpg
    ("\u2028 \u0085 \ufeff", "\\u2028 \\x85 \\ufeff"),
    (os.fsdecode(b"caf\xe9"), "caf\\udce9"),
    ("می\u200cخواهم", "می\u200cخواهم"),  # Persian, which needs the mark
])
def test_a_terminal_shows_names_and_does_not_obey_them(text, shown, capsys):
    assert terminal.printable(text) == shown
    terminal.say(text, "next")
    terminal.say_error(text)
    assert capsys.readouterr() == (f"{shown}\nnext\n", f"{shown}\n")


def test_log_lines_and_errors_too(capsys):
    logs.to_stdout()
    logging.getLogger("tf_facenet.data").warning("%s has no images", "Al\nGore\x1b[2J")
    assert capsys.readouterr().out == "Al\\nGore\\x1b[2J has no images\n"

    def main():
        raise OSError("no file 'a\x1b[2J.png'")

    for call in (lambda: config.run(main), lambda: config.parse(SoftmaxOptions, ["--\x1b[2J"])):
        with pytest.raises(SystemExit, match="2"):
            call()
        assert "\\x1b[2J" in (said := capsys.readouterr().err)
        assert (said.count("\x1b"), said.count("\n")) == (0, 1)


def writers(path):
    """Lines of a file that write to a standard stream themselves."""
    text = path.read_text()
    for node in ast.walk(ast.parse(text)) if "print(" in text or "sys.std" in text else ():
        function = getattr(node, "func", None)
        if isinstance(function, ast.Name) and function.id == "print":
            yield node.lineno
        if isinstance(node, ast.Attribute) and node.attr in ("write", "writelines", "buffer") and (
                ast.unparse(node.value) in ("sys.stdout", "sys.stderr")):
            yield node.lineno


def test_nothing_else_writes_to_the_terminal():
    files = [*sorted((ROOT / "tf_facenet").rglob("*.py")), *(ROOT / f"{name}.py" for name in (
        "train_softmax", "train_tripletloss", "validate_on_lfw"))]
    found = {path.name: list(writers(path)) for path in files if list(writers(path))}
    assert not found, "say it with tf_facenet.terminal"


def test_work_goes_on_when_the_reader_has_seen_enough(tmp_path):
    with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "result"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as writer:
        writer.stdout.readline()
        writer.stdout.close()
        assert writer.stderr.read() == b""
    assert writer.returncode == 0
    assert (tmp_path / "result").read_text() == "done"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_stdout_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", WRITER, tmp_path / "result"], stdout=full, stderr=subprocess.PIPE,
                              text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "-c: error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_a_command_without_a_standard_stream_works(closed, tmp_path):
    """The next file that it opens does not get the number of the stream, and so nothing that is said there."""
    script = tmp_path / "script.py"
    script.write_text(STREAMLESS)
    done = subprocess.run(["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, script, tmp_path / "file"],
                          capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_text() == "own"
    assert done.stdout == ("" if " >&-" in f" {closed}" else "a line\n")
    assert done.stderr == ("" if "2>&-" in closed else "what C++ code saysa line\n")
