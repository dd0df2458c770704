"""tf-facenet records, and training on what it wrote."""

import csv
import json

import pytest

import train_softmax
from tests import process
from tf_facenet import cli, config
from tf_facenet.options import SoftmaxOptions

DRAWN = "drawn:people=4,images=5,size=32"
QUICK = ["--model_def", "tests.tiny:create", "--use_fixed_image_standardization", "--image_size", "32",
         "--embedding_size", "8", "--batch_size", "10", "--epoch_size", "2", "--quiet"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    assert cli.run_command(["records", "pack", DRAWN, str(folder), "--quiet"]) == 0
    return folder


def records(capsys, *words):
    """What the command prints."""
    assert cli.run_command(["records", *map(str, words), "--quiet"]) == 0
    return capsys.readouterr().out


def test_all_actions(packed, tmp_path, capsys):
    info = records(capsys, "info", packed)
    assert "images           20\n" in info
    assert "people           4, labels 0 to 3, names 'person_000000' to 'person_000003'" in info
    assert "layout           insightface's, 5 records without image" in info
    assert "first image      JPEG, 32x32, " in info
    assert records(capsys, "verify", packed / "train.rec") == f"{packed}/train.rec is good\n"
    assert records(capsys, "unpack", packed, tmp_path / "faces") == f"20 images: {tmp_path}/faces\n"
    assert records(capsys, "merge", tmp_path / "both", packed, tmp_path / "faces", "--dedupe") == (
        f"40 images of 4 people: {tmp_path}/both\n")
    two = tmp_path / "two"
    assert records(capsys, "merge", two, packed, tmp_path / "faces").startswith("40 images of 8 people")
    (two / "train.idx").unlink()
    (two / "train.rec").rename(two / "mine.rec")
    assert "none; found by walking through the file" in records(capsys, "info", two)
    assert records(capsys, "index", two) == f"{two}/mine.idx: 49 records\n"
    assert records(capsys, "verify", two) == f"{two}/mine.rec is good\n"


def mistake(capsys, *words):
    """The one line that a mistake is answered with."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["records", *map(str, words), "--quiet"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_mistakes_are_one_line(packed, tmp_path, capsys):
    assert "Unknown action 'pakc'. Choose one of: " in mistake(capsys, "pakc", "x")
    assert "unpack takes REC OUT, got 1 paths" in mistake(capsys, "unpack", packed)
    assert "info takes REC, got 2 paths" in mistake(capsys, "info", packed, packed)
    assert "merge takes OUT REC..., got 1 paths" in mistake(capsys, "merge", packed)
    assert f"no record file '{tmp_path}'" in mistake(capsys, "info", tmp_path)
    (tmp_path / "cut.rec").write_bytes((packed / "train.rec").read_bytes()[:-10])
    for action in ("info", "verify"):
        assert "cut.rec, offset " in mistake(capsys, action, tmp_path / "cut.rec")
    (tmp_path / "property").write_text("9,112,112\n")
    (tmp_path / "cut.rec").write_bytes((packed / "train.rec").read_bytes())
    assert "cut.rec has 1 faults, the first: " in mistake(capsys, "verify", tmp_path / "cut.rec")


def rows(folder):
    with open(folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_training_on_records_and_others_joined_and_resumed(packed, tmp_path):
    def train(*arguments):
        assert train_softmax.main([*QUICK, "--models_base_dir", str(tmp_path), *arguments]) == 0
        return max(tmp_path.iterdir())

    joined = ["--data_dir", str(packed), "--data_dir", f"{packed}/train.rec:drawn:people=2,images=5,size=32"]
    run = train(*joined, "--max_nrof_epochs", "1", "--validation_set_split_ratio", "0.2", "--log_every_n_steps", "1")
    written = json.loads((run / "options.json").read_text())
    assert written["data_dir"] == joined[1::2]
    metadata = json.loads((run / "metadata.json").read_text())
    assert metadata["class_names"][3:5] == ["person_000003", "person_000000 (2)"]
    assert len(metadata["class_names"]) == 10
    assert train("--resume", str(run), "--max_nrof_epochs", "2") == run
    assert [row["step"] for row in rows(run)][-1] == "4"


def test_the_flag_may_be_repeated(tmp_path):
    def parsed(*argv):
        options = config.parse(SoftmaxOptions, argv)
        config.save(options, tmp_path / "options.json")
        assert config.load(SoftmaxOptions, tmp_path / "options.json") == options
        return options.data_dir

    assert parsed() == "drawn"
    assert parsed("--data_dir", "a:b") == "a:b"
    assert parsed("--data_dir", "a", "--data_dir", "b:c", "--data_dir", "d") == ["a", "b:c", "d"]
    assert config.given(SoftmaxOptions, ["--data_dir", "a", "--data_dir", "b"]) == {"data_dir"}


def test_packing_loads_no_tensorflow(tmp_path):
    done = process.python("-c", "import sys\nfrom tf_facenet import cli\n"
                          f"cli.run_command(['records', 'pack', {DRAWN!r}, {str(tmp_path)!r}])\n"
                          "print('tensorflow' in sys.modules)")
    assert done.stdout.endswith("False\n"), done.stderr
