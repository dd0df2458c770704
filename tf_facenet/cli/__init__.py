"""The command `tf-facenet`: a table of commands, each a module of this folder."""

import importlib
import sys

from tf_facenet import config, logs
from tf_facenet.lookup import lookup
from tf_facenet.terminal import say

# Name → module with `Options` and `run(options)`, which returns the exit status, None = 0. TensorFlow is imported in
# `run` only, after what can fail without it, so that help and errors come at once.
COMMANDS = {
    "align": "tf_facenet.cli.align",
    "check": "tf_facenet.cli.check",
    "classify": "tf_facenet.cli.classify",
    "clean": "tf_facenet.cli.clean",
    "cluster": "tf_facenet.cli.cluster",
    "compare": "tf_facenet.cli.compare",
    "convert": "tf_facenet.cli.convert",
    "embed": "tf_facenet.cli.embed",
    "enroll": "tf_facenet.cli.enroll",
    "export": "tf_facenet.cli.export",
    "filter": "tf_facenet.cli.filter",
    "identify": "tf_facenet.cli.identify",
    "pairs": "tf_facenet.cli.pairs",
    "records": "tf_facenet.cli.records",
    "report": "tf_facenet.cli.report",
    "split": "tf_facenet.cli.split",
    "threshold": "tf_facenet.cli.threshold",
}


def main(argv=None):
    """The console script; exits with status 2 and one line for a user's mistake."""
    config.run(lambda: run_command(sys.argv[1:] if argv is None else argv))


def run_command(argv):
    """Run `COMMAND ...`; returns the exit status."""
    if not argv or argv[0] in ("-h", "--help"):
        say(*usage().splitlines())
        return 0 if argv else 2
    command = importlib.import_module(lookup(COMMANDS, argv[0], "command"))
    options = config.parse(command.Options, argv[1:], prog=f"tf-facenet {argv[0]}")
    logs.to_stdout(getattr(options, "quiet", False))
    return command.run(options) or 0


def usage():
    """What `tf-facenet -h` says: each command with the first line of its module."""
    lines = ["usage: tf-facenet COMMAND [options]", ""]
    for name, module in COMMANDS.items():
        summary = importlib.import_module(module).__doc__.splitlines()[0]
        lines.append(f"  {name:10} {summary}")
    return "\n".join([*lines, "", "tf-facenet COMMAND -h lists the options of a command."])
