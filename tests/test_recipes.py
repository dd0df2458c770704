"""Recipes: what a file may say, and that those of the package say what was published."""

import importlib
import json
import pathlib

import pytest

from tf_facenet import config, recipes
from tf_facenet.options import SoftmaxOptions, TripletOptions

SCRIPTS = {"train_softmax.py": SoftmaxOptions, "train_tripletloss.py": TripletOptions}

INSIGHTFACE = {  # arcface_torch: what its configurations share; 8 devices x 128
    "image_size": 112, "embedding_size": 512, "standardization": "fixed", "random_flip": True, "random_crop": False,
    "scale": 64.0, "batch_size": 1024, "epoch_size": 0, "optimizer": "MOM", "learning_rate": 0.1, "warmup_epochs": 0.0,
    "learning_rate_decay": "polynomial", "clip_norm": 5.0, "moving_average_decay": 0.0, "keep_probability": 1.0}
PUBLISHED = {
    "casia_facenet": {  # facenet's wiki, "Classifier training of Inception-ResNet-v1"
        "model_def": "inception_resnet_v1", "image_size": 160, "embedding_size": 512, "standardization": "fixed",
        "keep_probability": 0.8, "random_crop": True, "random_flip": True, "batch_size": 90, "epoch_size": 1000,
        "max_nrof_epochs": 150, "optimizer": "ADAM", "learning_rate": -1.0, "learning_rate_schedule_file": "casia",
        "weight_decay": 5e-4, "prelogits_norm_loss_factor": 5e-4, "center_loss_factor": 0.0,
        "validation_set_split_ratio": 0.05, "validate_every_n_epochs": 5, "lfw_distance_metric": 1,
        "lfw_use_flipped_images": True, "lfw_subtract_mean": True, "head": "softmax"},
    "casia_arcface": {  # arXiv:1801.07698, section 3.1
        "model_def": "iresnet50", "head": "arcface", "scale": 64.0, "margin": 0.5, "batch_size": 512,
        "optimizer": "MOM", "weight_decay": 5e-4, "image_size": 112, "embedding_size": 512, "random_flip": True},
    "ms1m_arcface_r50": {**INSIGHTFACE, "model_def": "iresnet50", "head": "arcface", "margin": 0.5,
                         "gradient": "straight_through", "max_nrof_epochs": 20, "weight_decay": 5e-4,
                         "sample_rate": 1.0},
    "ms1m_mbf": {**INSIGHTFACE, "model_def": "mbf", "head": "arcface", "margin": 0.5, "gradient": "straight_through",
                 "max_nrof_epochs": 40, "weight_decay": 1e-4, "sample_rate": 1.0},
    "wf42m_partial_fc": {**INSIGHTFACE, "model_def": "iresnet100", "head": "cosface", "margin": 0.4,
                         "sample_rate": 0.2, "max_nrof_epochs": 20, "weight_decay": 5e-4},
    "triplet_finetune": {"mining": "semi_hard", "people_per_batch": 18, "images_per_person": 5, "batch_size": 90,
                         "optimizer": "MOM", "learning_rate": 0.05},
    "lfw_view1": {"head": "arcface", "scale": 32.0, "margin": 0.3, "image_size": (112, 96), "jitter": 0.3},
    "small_data": {},
}


def text_of(name):
    return pathlib.Path(recipes.FOLDER, f"{name}.txt").read_text()


def parse(name, *arguments):
    script = text_of(name).partition("\n")[0]
    return config.parse(SCRIPTS[script], ["--recipe", name, *arguments])


def test_these_come_with_the_package():
    assert recipes.names() == sorted(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_settings_are_the_published_ones(name):
    options = parse(name)
    assert {field: getattr(options, field) for field in PUBLISHED[name]} == PUBLISHED[name]
    assert options.recipe == name


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_recipe_says_where_it_is_from_and_what_of_it_was_run(name):
    text = text_of(name)
    for what in ("Data:", "Result:", "Cost:", "Run here:"):
        assert text.count(f"\n# {what}") == 1
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "triplet_finetune"])
def test_head_and_schedule_of_recipes_exist(name):
    from tf_facenet import heads
    from tf_facenet.training import schedules
    options = parse(name)
    heads.check(options.head, **options.head_options)
    assert schedules.plan(options, 10_000).epochs


def test_the_arcface_schedule_is_the_papers():
    """A tenth after 20,000 and again after 28,000 of 32,000 steps."""
    from tf_facenet.training import schedules
    plan = schedules.plan(parse("casia_arcface"), 453_453)
    assert plan.steps == 32_000
    rates = [float(plan.learning_rate(step)) for step in (0, 19_999, 20_000, 27_999, 28_000, 31_999)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_what_is_typed_wins_in_any_order():
    first = config.parse(SoftmaxOptions, ["--batch_size", "7", "--recipe", "casia_facenet", "--no_random_crop"])
    assert (first.batch_size, first.random_crop, first.random_flip) == (7, False, True)
    assert config.parse(SoftmaxOptions, ["--recipe", "casia_facenet", "--batch_size", "90"]) == parse("casia_facenet")
    assert config.given(SoftmaxOptions, ["--recipe", "casia_facenet", "--seed", "1"]) == {"recipe", "seed"}


def write(folder, text):
    path = folder / "mine.txt"
    path.write_text(text)
    return str(path)


def test_a_file_of_the_user(tmp_path):
    path = write(tmp_path, "\n# mine\ntrain_softmax.py  # for this\n--batch_size 5 --random_flip\n"
                           "--data_dir 'a b'  # with a blank\n--data_dir c\n--model_options depths=(2,2),neck=pool\n")
    options = config.parse(SoftmaxOptions, ["--recipe", path])
    assert (options.batch_size, options.random_flip, options.data_dir) == (5, True, ["a b", "c"])
    assert options.model_options == {"depths": (2, 2), "neck": "pool"}
    assert config.parse(SoftmaxOptions, ["--recipe", path, "--data_dir", "d"]).data_dir == "d"


def test_options_json_holds_the_result(tmp_path):
    options = parse("casia_facenet", "--embedding_size", "128")
    config.save(options, tmp_path / "options.json")
    stored = json.loads((tmp_path / "options.json").read_text())
    assert (stored["recipe"], stored["embedding_size"], stored["optimizer"]) == ("casia_facenet", 128, "ADAM")
    assert config.load(SoftmaxOptions, tmp_path / "options.json") == options


@pytest.mark.parametrize(("text", "message"), [
    ("--batch_size 5", "does not begin with the script that it is for, such as train_softmax.py"),
    ("# nothing", "does not begin with the script"),
    ("train_tripletloss.py\n--alpha 0.3", "is for train_tripletloss.py, not for train_softmax.py: run python train_t"),
    ("train_softmax.py\n\n--batch 5\n--bacht_size 5", "mine.txt, line 4: unrecognized arguments: --bacht_size 5"),
    ("train_softmax.py\n--batch_size five", "mine.txt, line 2: argument --batch_size: invalid int value: 'five'"),
    ("train_softmax.py\n--batch_size", "mine.txt, line 2: argument --batch_size: expected one argument"),
    ("train_softmax.py\n--optimizer SDG", "mine.txt, line 2: argument --optimizer: invalid choice: 'SDG'"),
    ("train_softmax.py\nbatch_size 5", "mine.txt, line 2: unrecognized arguments: batch_size 5"),
    ("train_softmax.py\n--data_dir 'a", "mine.txt, line 2: no closing quotation"),
    ("train_softmax.py\n--recipe casia_facenet", "mine.txt, line 2: a recipe cannot name another one"),
    ("train_softmax.py\n--batch_size 0", "--batch_size is 0; expected at least 1")])
def test_mistakes_in_a_file_are_one_line_that_says_where(tmp_path, capsys, text, message):
    refused(capsys, write(tmp_path, text), message)


def test_what_is_no_recipe(tmp_path, capsys):
    refused(capsys, "cassia", "--recipe 'cassia' is neither a file nor a recipe of the package; these are: casia_arc")
    refused(capsys, str(tmp_path), "cannot be read: Is a directory. Expected a file of '--flag value' lines")
    (tmp_path / "mine.txt").write_bytes(b"\xff\xfe\0")
    refused(capsys, str(tmp_path / "mine.txt"), "cannot be read: it is no text")


def refused(capsys, name, message):
    with pytest.raises(SystemExit) as stopped:
        config.parse(SoftmaxOptions, ["--recipe", name], prog="train_softmax.py")
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message in error
    assert error.startswith("train_softmax.py: error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_names_it(capsys, script):
    with pytest.raises(SystemExit):
        importlib.import_module(script.removesuffix(".py")).main(["-h"])
    shown = capsys.readouterr().out
    assert "--recipe TEXT" in shown
    assert "--no_random_flip" not in shown
