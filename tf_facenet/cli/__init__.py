"""The command `tf-facenet`: a table of commands, each a module of this folder."""

import importlib
import sys

from tf_facenet import config
from tf_facenet.lookup import lookup

# Name → module with `Options` and `run(options)`. A module imports TensorFlow inside `run` only,
# so that help answers at once.
COMMANDS = {
    "clean": "tf_facenet.cli.clean",
    "export": "tf_facenet.cli.export",
    "report": "tf_facenet.cli.report",
}


def main(argv=None):
    """The console script; exits with status 2 and one line for a user's mistake."""
    config.run(lambda: run_command(sys.argv[1:] if argv is None else argv))


def run_command(argv):
    """Run `COMMAND ...`; returns the exit status."""
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    command = importlib.import_module(lookup(COMMANDS, argv[0], "command"))
    options = config.parse(command.Options, argv[1:], prog=f"tf-facenet {argv[0]}")
    command.run(options)
    return 0


def usage():
    """What `tf-facenet -h` says: each command with the first line of its module."""
    lines = ["usage: tf-facenet COMMAND [options]", ""]
    for name, module in COMMANDS.items():
        summary = importlib.import_module(module).__doc__.splitlines()[0]
        lines.append(f"  {name:10} {summary}")
    return "\n".join([*lines, "", "tf-facenet COMMAND -h lists the options of a command."])
