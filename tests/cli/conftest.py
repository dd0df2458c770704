"""People who are colours, a model that sees them, and a way to run a command on both."""

import pytest

from tests.cli import colors
from tf_facenet import cli


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colors")
    colors.write_model(folder / "model.keras")
    colors.write_people(folder / "known", ("Red", "Green", "Blue"))
    colors.write_people(folder / "all")
    return folder


@pytest.fixture
def run(world, capsys):
    """A command's output; arguments that name something in the world become its path."""
    def run(*arguments, status=0):
        paths = [str(world / word) if (world / word).exists() else str(word) for word in arguments]
        assert cli.run_command([*paths, "--quiet"]) == status
        return capsys.readouterr().out

    return run
