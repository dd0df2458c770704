"""What commands say: after the work, what was left out, and on lines that a terminal only shows."""

import errno

import pytest

from tests.cli import colors
from tf_facenet import cli, terminal
from tf_facenet.inference import metadata

PAIRS = "".join(f"{name} 1 2\n{name} 1 {other} 2\n" for name, other in (
    ("Red", "Blue"), ("Blue", "Red"), ("Green", "Yellow"), ("Yellow", "Green")))


@pytest.mark.parametrize(("arguments", "written"), [
    ("classify train known model.keras c.npz", ("c.npz",)),
    ("filter model.keras all d.h5 --drop 5", ("d.h5", "d.csv")),
    ("pairs all --folds 2 --pairs 2", ("pairs.txt",)),
    ("check all -o c.html --json c.json --sample 0", ("c.html", "c.json")),
    ("report model.keras --pairs all --lfw_pairs pairs.txt --lfw_nrof_folds 2", ("report.html",)),
    ("threshold model.keras all --far 0.5", ()),
])
def test_what_is_written_is_there_before_it_is_said(arguments, written, world, tmp_path, monkeypatch):
    """So that neither a reader who has seen enough nor a full disk under stdout costs a file."""
    def full(stream, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.chdir(tmp_path)
    colors.write_model(tmp_path / "model.keras")
    (tmp_path / "pairs.txt").write_text(PAIRS)
    paths = [str(world / word) if word in ("all", "known") else word for word in arguments.split()]
    monkeypatch.setattr(terminal, "write", full)
    with pytest.raises(OSError, match="No space left"):
        cli.run_command([*paths, "--quiet"])
    assert all((tmp_path / name).exists() for name in written)
    assert bool(metadata.read("model.keras")["threshold"]) is arguments.startswith("threshold")


def test_what_is_asked_for_by_name_and_not_done_is_status_1(world, run, tmp_path):
    """What a folder has besides is status 0; either way the last line says how many of how many."""
    red, blue = (world / "all" / name / f"{name}_0001.png" for name in ("Red", "Blue"))
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "red.png").write_bytes(red.read_bytes())
    (tmp_path / "faces" / "bad.jpg").write_text("no image")
    run("enroll", "model.keras", "known", tmp_path / "g", "--align", "none")
    own, missing = ("--align", "none", "--threshold", "1"), tmp_path / "none.png"
    for arguments, status, last in (
            (("compare", "model.keras", red, missing), 1, "Skipped 1 of 2 images"),
            (("compare", "model.keras", red, missing, blue), 1, "Skipped 1 of 3 images"),
            (("compare", "model.keras", red), 0, "Same person below 1.0000:"),
            (("identify", "model.keras", tmp_path / "g", tmp_path / "faces"), 0, "Skipped 1 of 2 images"),
            (("identify", "model.keras", tmp_path / "g", red, missing), 1, "Skipped 1 of 2 images")):
        lines = run(*arguments, *own, status=status).splitlines()
        assert lines[-1].startswith(last), arguments
        assert ("Distance matrix" in lines) is (arguments[0] == "compare" and arguments[2:] != (red, missing))


def test_every_command_says_what_it_skipped(world, run, tmp_path):
    folder = colors.write_people(tmp_path / "p", ("Red", "Blue"), count=3)
    for number in range(12):
        (tmp_path / "p" / "Red" / f"{number:02d}.jpg").write_text("no image")
    for command in (("enroll", "model.keras", folder, tmp_path / "g", "--align", "none"),
                    ("cluster", "model.keras", folder, tmp_path / "c", "--align", "none", "--cluster_threshold", "1"),
                    ("filter", "model.keras", folder, tmp_path / "d.h5"),
                    ("classify", "train", folder, "model.keras", tmp_path / "c.npz"),
                    ("classify", "predict", folder, "model.keras", tmp_path / "c.npz")):
        lines = run(*command).splitlines()
        assert lines[-1] == "Skipped 12 of 18 images", command
        assert sum(line.startswith("Skipped ") for line in lines) == 10 + 1  # the first ten by name


def test_names_are_printed_on_one_line_and_obeyed_by_nobody(world, run, tmp_path):
    person = tmp_path / "p" / "\x1b[31mRed\nAccuracy: 1.000"
    person.mkdir(parents=True)
    (person / "a.png").write_bytes(colors.picture("Red", 1))
    run("enroll", "model.keras", tmp_path / "p", tmp_path / "g", "--align", "none")
    (line,) = run("identify", "model.keras", tmp_path / "g", person / "a.png", "--align", "none", "--threshold", "1"
                  ).splitlines()
    assert ": \\x1b[31mRed\\nAccuracy: 1.000 (0.000)  quality " in line
    run("embed", "model.keras", tmp_path / "p", "-o", tmp_path / "e.csv", "--projector", tmp_path / "projector")
    assert (tmp_path / "projector" / "people.tsv").read_text() == "\x1b[31mRed\\nAccuracy: 1.000\n"


def test_a_tab_in_a_name_makes_no_column_in_the_projector(run, tmp_path):
    (tmp_path / "p" / "Al\tGore").mkdir(parents=True)
    (tmp_path / "p" / "Al\tGore" / "a.png").write_bytes(colors.picture("Red", 1))
    run("embed", "model.keras", tmp_path / "p", "-o", tmp_path / "e.npz", "--projector", tmp_path / "projector")
    assert (tmp_path / "projector" / "people.tsv").read_text() == "Al\\tGore\n"
