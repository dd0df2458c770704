import argparse
import dataclasses
import io
import re
import subprocess
import sys

import numpy as np
import pytest

from tf_facenet import config, logs, options
from tf_facenet.cli import export
from tf_facenet.options import LfwOptions, SoftmaxOptions, TripletOptions

FACENET = {  # facenet's train_softmax.py: flag → default; models and data live elsewhere here
    "gpu_memory_fraction": 1.0, "model_def": "models.inception_resnet_v1", "max_nrof_epochs": 500,
    "batch_size": 90, "image_size": 160, "epoch_size": 1000, "embedding_size": 128,
    "random_crop": False, "random_flip": False, "random_rotate": False,
    "use_fixed_image_standardization": False, "keep_probability": 1.0, "weight_decay": 0.0,
    "center_loss_factor": 0.0, "center_loss_alfa": 0.95, "prelogits_norm_loss_factor": 0.0,
    "prelogits_norm_p": 1.0, "prelogits_hist_max": 10.0, "optimizer": "ADAGRAD",
    "learning_rate": 0.1, "learning_rate_decay_epochs": 100, "learning_rate_decay_factor": 1.0,
    "moving_average_decay": 0.9999, "seed": 666, "nrof_preprocess_threads": 4,
    "log_histograms": False, "filter_filename": "", "filter_percentile": 100.0,
    "filter_min_nrof_images_per_class": 0, "validate_every_n_epochs": 5,
    "validation_set_split_ratio": 0.0, "min_nrof_val_images_per_class": 0, "lfw_dir": "",
    "lfw_batch_size": 100, "lfw_nrof_folds": 10, "lfw_distance_metric": 0,
    "lfw_use_flipped_images": False, "lfw_subtract_mean": False}


def test_facenets_flags_and_defaults():
    parsed = vars(config.parse(SoftmaxOptions, []))
    assert {name: parsed[name] for name in FACENET} == FACENET
    assert {"logs_base_dir", "models_base_dir", "pretrained_model", "data_dir", "lfw_pairs",
            "learning_rate_schedule_file"} <= set(parsed)


def test_head_options_are_those_that_were_given():
    parsed = config.parse(SoftmaxOptions, ["--head", "arcface", "--margin", "0.3", "--scale", "auto"])
    assert parsed.head_options == {"margin": 0.3, "scale": "auto"}
    parsed = config.parse(SoftmaxOptions, ["--head", "cosface", "--sample_rate", "0.1", "--seed", "5", "--scale", "30"])
    assert parsed.head_options == {"sample_rate": 0.1, "scale": 30.0, "seed": 5}
    assert config.parse(SoftmaxOptions, []).head_options == {}


def test_values_from_the_command_line():
    parsed = config.parse(SoftmaxOptions, ["--image_size", "112x96", "--random_flip",
                                           "--learning_rate", "-1", "--optimizer", "ADAM"])
    assert parsed.image_size == (112, 96)
    assert parsed.random_flip is True
    assert parsed.learning_rate == -1.0
    assert parsed.optimizer == "ADAM"
    parsed = config.parse(LfwOptions, ["faces", "model", "--use_flipped_images"])
    assert (parsed.lfw_dir, parsed.model, parsed.use_flipped_images) == ("faces", "model", True)


@pytest.mark.parametrize(("argv", "message"), [
    (["--batch_size", "0"], "--batch_size is 0; expected at least 1"),
    (["--batch_size", "-3"], "--batch_size is -3; expected at least 1"),
    (["--embedding_size", "0"], "--embedding_size is 0; expected at least 1"),
    (["--image_size", "0"], "'0' is no image size: expected one positive number or HEIGHTxWIDTH"),
    (["--image_size", "1x2x3"], "'1x2x3' is no image size"),
    (["--keep_probability", "1.5"], "--keep_probability is 1.5; expected 0.001 to 1.0"),
    (["--epoch_size", "-1"], "--epoch_size is -1; expected at least 0"),
    (["--validation_set_split_ratio", "1"], "expected 0.0 to 0.99"),
    (["--optimizer", "SDG"], "invalid choice: 'SDG'"),
    (["--model_options", "neck"], "argument --model_options: 'neck' is not NAME=VALUE,NAME=VALUE, such as alpha=0.5"),
    (["--model_options", "=3"], "'=3' is not NAME=VALUE"),
    (["--model_options", "keep_probability=0.5"], "sets 'keep_probability', which has a flag of its own; see -h"),
    (["--clip_norm", "nan"], "--clip_norm is nan; expected at least 0"),
    (["--warmup_epochs", "inf"], "--warmup_epochs is inf; expected at least 0"),
    (["--learning_rate", "nan"], "--learning_rate is nan; expected"),
    (["--prelogits_norm_p", "0"], "--prelogits_norm_p is 0.0; expected 0.1 to 10.0"),
    (["--strategy", "none", "--num_devices", "2"], "--num_devices is 2, and --strategy none has one"),
    (["--no_such_flag"], "unrecognized arguments: --no_such_flag")])
def test_mistakes_are_one_line_and_status_two(capsys, argv, message):
    with pytest.raises(SystemExit) as stopped:
        config.parse(SoftmaxOptions, argv, prog="train_softmax.py")
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message in error
    assert error.startswith("train_softmax.py: error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(("text", "values"), [
    ("", {}), ("neck=gdc", {"neck": "gdc"}), ("a=0.5,b=true,c=None", {"a": .5, "b": True, "c": None}),
    (" depths=(2, 2,18,2), patch=4,", {"depths": (2, 2, 18, 2), "patch": 4}), ("name=a=b", {"name": "a=b"})])
def test_settings(text, values):
    assert config.settings(text) == values
    assert config.parse(SoftmaxOptions, ["--model_options", text]).backbone_options == {
        "standardization": "per_image", "keep_probability": 1.0, **values}


@pytest.mark.parametrize(("text", "shares"), [
    ("left", (0.5, 0.0)), ("center", (0.5, 0.5)), ("0,1", (0.0, 1.0)), ([0.25, 1], (0.25, 1.0))])
def test_place(text, shares):
    assert config.place(text) == shares


@pytest.mark.parametrize("text", ["middle", "1", "0,2", "0,nan", "0,0,0", "", 3])
def test_no_place(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no place: expected center, left, right, top, bottom, or"):
        config.place(text)


def test_json_round_trip(tmp_path):
    parsed = config.parse(SoftmaxOptions, ["--image_size", "112x96", "--seed", "3", "--model_options",
                                           "depths=(2,2,18,2),drop_path=0.3"])
    config.save(parsed, tmp_path / "options.json")
    assert config.load(SoftmaxOptions, tmp_path / "options.json") == parsed
    (tmp_path / "options.json").write_text('{"sede": 3}')
    with pytest.raises(ValueError, match="unknown option 'sede'"):
        config.load(SoftmaxOptions, tmp_path / "options.json")


def test_what_only_classifiers_take(capsys):
    with pytest.raises(SystemExit):
        config.parse(options.TripletOptions, ["--label_smoothing", "0.1"])
    assert "unrecognized arguments: --label_smoothing 0.1" in capsys.readouterr().err


def test_a_short_flag():
    @dataclasses.dataclass
    class Options:
        """Something."""

        out: str = config.option("", "file", short="o")

    assert config.parse(Options, ["-o", "x"]) == config.parse(Options, ["--out", "x"]) == Options(out="x")


def test_given_names_what_the_user_typed():
    assert config.given(SoftmaxOptions, ["--seed", "666", "--quiet"]) == {"seed", "quiet"}


def test_help_says_each_thing_once_and_defaults_as_they_are_typed():
    text = config.parser(export.Options).format_help()
    assert text.count(export.Options.__doc__.strip().partition("\n")[0]) == 1
    assert "(default center)" in text


@pytest.mark.parametrize("cls", [SoftmaxOptions, TripletOptions])
def test_options_say_what_becomes_of_them(cls):
    """When a run is resumed, and between workers."""
    fixed, free, of_process = (config.names(cls, "resume", kind)
                               for kind in (config.FIXED, config.FREE, config.OF_PROCESS))
    assert fixed | free | of_process == {field.name for field in dataclasses.fields(cls)}
    assert {"seed", "batch_size", "image_size", "learning_rate", "precision", "accumulate", "people_file"} <= fixed
    assert {"data_dir", "models_base_dir", "logs_base_dir", "strict_data", "prelogits_hist_max", "jit"} <= free
    assert of_process == {"resume", "workers", "worker_index", "import_"}
    assert config.names(cls, "per_worker", True) == {
        "workers", "worker_index", "data_dir", "models_base_dir", "logs_base_dir", "resume", "quiet",
        "nrof_preprocess_threads", "gpu_memory_fraction", "import_"}


def test_a_mistake_deeper_down_is_one_line(capsys, monkeypatch):
    def main():
        raise ValueError("first line\n   second line")

    monkeypatch.setattr(sys, "argv", ["/somewhere/train_softmax.py"])
    with pytest.raises(SystemExit) as stopped:
        config.run(main)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "train_softmax.py: error: first line second line\n"
    monkeypatch.setenv("TF_FACENET_TRACEBACK", "1")
    with pytest.raises(ValueError, match="first line"):
        config.run(main)


def test_what_nobody_expected_is_one_line_that_says_how_to_see_more(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tf-facenet"])
    with pytest.raises(SystemExit) as stopped:
        config.run(lambda: {}["no such key"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == (
        "tf-facenet: unexpected KeyError: 'no such key' (set TF_FACENET_TRACEBACK=1 to see where)\n")
    monkeypatch.setenv("TF_FACENET_TRACEBACK", "1")
    with pytest.raises(KeyError):
        config.run(lambda: {}["no such key"])


def test_so_do_the_words_of_other_packages(capsys):
    with pytest.raises(SystemExit) as stopped:
        config.run(lambda: np.zeros(3).reshape(2, 2))  # NumPy's C code: its line is the caller's
    assert "TRACEBACK" not in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        config.run(lambda: np.load(io.BytesIO(b"no array")))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.endswith("(set TF_FACENET_TRACEBACK=1 to see where)\n")


def test_a_missing_tensorflow_is_one_line(capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as if it were not installed
    with pytest.raises(SystemExit, match="2"):
        config.run(logs.import_tensorflow)
    assert re.search(r": error: \S+ has no tensorflow\. Activate the environment that has it", capfd.readouterr().err)


def test_an_interrupt_is_one_line(capsys, monkeypatch):
    def main():
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["tf-facenet"])
    with pytest.raises(SystemExit) as stopped:
        config.run(main)
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "tf-facenet: interrupted\n"


@pytest.mark.parametrize("script", ["train_softmax", "validate_on_lfw"])
def test_help_needs_no_tensorflow(script):
    code = (f"import sys, {script}\ntry:\n    {script}.main(['-h'])\nexcept SystemExit: pass\n"
            "print({'tensorflow', 'keras', 'numpy', 'cv2'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
    assert f"usage: {script}.py [options]" in done.stdout


@pytest.mark.parametrize(("text", "message"), [
    ("", "holds no JSON"), ("{", "holds no JSON"), ("[" * 100_000, "holds no JSON"), ("\udcff", "holds no JSON"),
    ("[]", "holds a list; expected names and values"), ('{"batch_size": "12"}', "batch_size is '12'; expected int"),
    ('{"batch_size": true}', "batch_size is True; expected int"), ('{"quiet": 1}', "quiet is 1; expected bool"),
    ('{"seed": null}', "seed is None; expected int"), ('{"precision": "float8"}', "precision is 'float8'; expected "),
    ('{"image_size": []}', "image size"), ('{"data_dir": 5}', "5 is no path"),
    ('{"model_options": [1]}', "options file"), ('{"batch_size": 0}', "--batch_size is 0"),
])
def test_options_files_that_are_damaged(text, message, tmp_path):
    path = tmp_path / "options.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=f"options.json.*{message}|{message}.*options.json") as refusal:
        config.load(SoftmaxOptions, path)
    assert "options.json" in str(refusal.value)


def test_names_of_older_versions(tmp_path):
    options = config.parse(SoftmaxOptions, ["--accumulation_steps", "3", "--precision", "mixed_bfloat16"])
    assert (options.accumulate, options.precision) == (3, "bfloat16")
    assert config.given(SoftmaxOptions, ["--accumulation_steps", "3"]) == {"accumulate"}
    path = tmp_path / "options.json"
    path.write_text('{"accumulation_steps": 2, "precision": "mixed_bfloat16"}')
    options = config.load(SoftmaxOptions, path)
    assert (options.accumulate, options.precision) == (2, "bfloat16")
