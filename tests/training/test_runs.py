import json

import pytest

from tf_facenet.options import SoftmaxOptions, TripletOptions
from tf_facenet.training import runs


@pytest.fixture
def started(tmp_path):
    return runs.start(SoftmaxOptions(models_base_dir=str(tmp_path), batch_size=12))


def test_start_writes_options_and_revision(started, tmp_path):
    assert started.folder.parent == tmp_path
    assert json.loads((started.folder / "options.json").read_text())["batch_size"] == 12
    revision = (started.folder / "revision_info.txt").read_text()
    assert revision.startswith("arguments: ")
    assert "\n--------------------\ntensorflow version: 2." in revision
    assert "\n--------------------\ngit hash: " in revision


def test_two_runs_of_one_second_have_their_own_folders(tmp_path):
    options = SoftmaxOptions(models_base_dir=str(tmp_path / "models"),
                             logs_base_dir=str(tmp_path / "logs"))
    first, second = runs.start(options), runs.start(options)
    assert first.folder != second.folder
    assert second.log_folder == tmp_path / "logs" / second.folder.name
    assert second.log_folder.is_dir()


def resume(started, **given):
    return runs.resume(SoftmaxOptions(resume=str(started.folder), **given), set(given) | {"resume"})


def test_resume_takes_the_old_options(started):
    run, options = resume(started)
    assert run == started
    assert options.batch_size == 12
    assert options.resume == str(started.folder)


def test_resume_with_options_that_may_change(started):
    _, options = resume(started, quiet=True, max_nrof_epochs=7, batch_size=12)
    assert (options.quiet, options.max_nrof_epochs, options.batch_size) == (True, 7, 12)


def test_resume_with_an_option_that_matters(started):
    with pytest.raises(ValueError, match="--batch_size was 12 in .* and cannot become 90"):
        resume(started, batch_size=90)


def test_faces_that_lie_elsewhere_now(started):
    assert resume(started, data_dir="/")[1].data_dir == "/"


def test_a_folder_by_another_name(started, monkeypatch):
    monkeypatch.chdir(started.folder)
    assert runs.resume(SoftmaxOptions(resume="."), {"resume"})[0] == started


def test_only_the_chief_locks_the_folder(started, monkeypatch):
    taken = []
    monkeypatch.setattr(runs, "_take", taken.append)
    for index in (0, 1):
        monkeypatch.setenv("TF_CONFIG", json.dumps(
            {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": index}}))
        resume(started)
    assert taken == [started.folder]


def test_a_run_of_the_other_script(started):
    with pytest.raises(ValueError, match="unknown option '.*'; expected those of train_tripletloss.py"):
        runs.resume(TripletOptions(resume=str(started.folder)), {"resume"})


def test_a_decay_fixes_the_number_of_epochs(tmp_path):
    run = runs.start(SoftmaxOptions(models_base_dir=str(tmp_path), learning_rate_decay="cosine"))
    assert resume(run, max_nrof_epochs=500)[0] == run
    with pytest.raises(ValueError, match="the cosine decay of .* ends at epoch 500"):
        resume(run, max_nrof_epochs=3)


@pytest.mark.parametrize("name", ["data_dir", "lfw_dir"])
def test_faces_that_lie_elsewhere_now_may_be_named_anew(tmp_path, monkeypatch, name):
    (tmp_path / "here" / "faces").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    run = runs.start(SoftmaxOptions(models_base_dir=str(tmp_path), **{name: "faces"}))
    assert resume(run)[0] == run
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=f"--{name} of .* is 'faces', and from '{tmp_path}' nothing is there. Say where "
                                      f"it is now: --resume .* --{name} PATH"):
        resume(run)
    assert getattr(resume(run, **{name: "here/faces"})[1], name) == "here/faces"


def test_what_changes_nothing_may_be_said_again(started, tmp_path):
    changes = {"models_base_dir": str(tmp_path), "strict_data": True, "prelogits_hist_max": 3.0}
    assert vars(resume(started, **changes)[1]).items() >= changes.items()
    assert resume(started, logs_base_dir=str(tmp_path / "logs"))[0].log_folder.parent == tmp_path / "logs"


def test_resume_of_something_else(tmp_path):
    with pytest.raises(OSError, match="is not a run folder: it has no options.json"):
        runs.resume(SoftmaxOptions(resume=str(tmp_path)), {"resume"})


def test_resume_removes_what_a_killed_writer_left(started):
    (started.checkpoints / "x").mkdir(parents=True)
    left = [started.folder / ".tmp-0123456789ab-model.keras", started.checkpoints / ".tmp-456789abcdef-c.npz"]
    for path in left:
        path.write_bytes(b"half")
    resume(started)
    assert not any(path.exists() for path in left)
    assert (started.folder / "options.json").exists()
