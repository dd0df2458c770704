import dataclasses
import importlib

import pytest

from tests import process
from tf_facenet import cli, config

LIGHT = """
import sys
from tf_facenet import cli
try:
    cli.main(sys.argv[1:])
finally:
    print("heavy:", [name for name in ("numpy", "tensorflow", "keras") if name in sys.modules])
"""


@pytest.mark.parametrize("arguments", [["-h"], *([name, "-h"] for name in cli.COMMANDS)])
def test_help_answers_without_importing_tensorflow(arguments):
    done = process.python("-c", LIGHT, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: tf-facenet")
    assert done.stdout.endswith("heavy: []\n")


def status(arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    return stopped.value.code


def test_usage_lists_every_command(capsys):
    assert status(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in cli.COMMANDS)
    assert status([]) == 2
    assert capsys.readouterr().out == text


def test_mistakes_are_one_line(capsys, tmp_path):
    assert status(["exprt"]) == 2
    error, names = capsys.readouterr().err, ", ".join(sorted(cli.COMMANDS))
    assert f"error: Unknown command 'exprt'. Choose one of: {names}." in error
    assert status(["export", str(tmp_path / "none"), str(tmp_path / "out")]) == 2
    error += capsys.readouterr().err
    assert "error: No model at" in error
    assert status(["export"]) == 2
    error += capsys.readouterr().err
    assert "tf-facenet export: error: the following arguments are required: model, out" in error
    assert len(error.splitlines()) == 3


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name != "align"])
def test_commands_that_load_a_model_take_modules_with_its_layers(name):
    options = importlib.import_module(cli.COMMANDS[name]).Options
    names = {field.name for field in dataclasses.fields(options)}
    assert ("import_" in names) == bool(names & {"model", "run"})
    if "import_" in names:
        places = ["x"] * sum(bool(field.metadata.get("positional")) for field in dataclasses.fields(options))
        places = [*places[:-1], "x.onnx"] if name == "export" else places
        assert config.parse(options, [*places, "--import", "a.b", "--import", "c.py"]).import_ == ["a.b", "c.py"]
