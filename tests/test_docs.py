"""The commands in the documents are ones that the scripts understand; links lead somewhere."""

import importlib
import re
import shlex

import pytest

from tests.conftest import ROOT
from tf_facenet import cli, config
from tf_facenet.options import LfwOptions, SoftmaxOptions, TripletOptions

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = {"train_softmax.py": SoftmaxOptions, "train_tripletloss.py": TripletOptions, "validate_on_lfw.py": LfwOptions}


def commands(path):
    """Command lines of a document: indented, in a fence or in backticks; continued lines joined."""
    text = path.read_text().replace("\\\n", " ")
    found = re.findall(r"^(?: {4}|)((?:python [a-z_]+\.py|make|tf-facenet) .*)$", text, re.MULTILINE)
    found += re.findall(r"`((?:python [a-z_]+\.py|tf-facenet [a-z]+) [^`]*)`", text)
    return [shlex.split(re.sub(r"\s\.\.\.|<|>", "", line), comments=True) for line in found]


ALL = [(path.name, command) for path in DOCUMENTS for command in commands(path)]


@pytest.mark.parametrize(("name", "command"), ALL, ids=lambda x: x if isinstance(x, str) else x[1])
def test_commands_are_understood(name, command):
    program, *arguments = command
    if program == "python":
        script, *arguments = arguments
        assert config.parse(SCRIPTS[script], arguments)
    elif program == "make":
        assert f"\n{arguments[0]}:" in (ROOT / "Makefile").read_text()
    else:
        command = importlib.import_module(cli.COMMANDS[arguments[0]])
        assert config.parse(command.Options, arguments[1:])


def test_the_readme_shows_the_whole_road():
    shown = {tuple(command[:2]) for name, command in ALL if name == "README.md"}
    assert shown >= {("make", "demo"), ("make", "test"), ("python", "train_softmax.py"),
                     ("python", "validate_on_lfw.py"), ("tf-facenet", "export")}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target
