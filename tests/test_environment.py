"""Settings of Keras that would make other networks, and processes that were forked too late."""

import importlib
import os
import signal
import sys
import time
import warnings
import zipfile

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import loops, process, tiny
from tf_facenet import backbones, environment
from tf_facenet.align.detect import Detector
from tf_facenet.data import check, faces, in_order
from tf_facenet.inference.embedder import Embedder
from tf_facenet.inference.gallery import Gallery


@pytest.fixture
def keras_json(tmp_path, monkeypatch):
    """Function that writes the settings of a user whose Python has not imported Keras yet."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.delenv("KERAS_NNX_ENABLED", raising=False)
    monkeypatch.delitem(sys.modules, "keras")
    return (tmp_path / "keras.json").write_text


@pytest.mark.parametrize(("text", "message"), [
    ('{"image_data_format": "channels_first"}', "Keras' image_data_format is 'channels_first', as .*; expected "
     "'channels_last': change it there, or set KERAS_HOME to a folder without keras.json"),
    ('{"floatx": "bfloat16"}', "Keras' floatx is 'bfloat16', as .*; expected 'float32': change"),
    ('{"floatx": "float64", "epsilon": 1e-07}', "Keras' floatx is 'float64', as"),
    ('{"backend": "theano"}', "Keras' backend is 'theano', as .*; expected 'tensorflow': change"),
    ('{"nnx_enabled": true}', "Keras' nnx_enabled is True, as .*; expected False: change"),
    ('{"epsilon": 1}', "says epsilon 1; expected a number with a point, as 1e-7"),  # Keras 3.15 refuses it
    ('["epsilon"]', r"holds \['epsilon'\]; expected names and values, or no such file")])
def test_settings_in_the_file(keras_json, text, message):
    keras_json(text)
    with pytest.raises(ValueError, match=message) as refusal:
        environment.check_keras()
    assert os.path.join(os.environ["KERAS_HOME"], "keras.json") in str(refusal.value)


@pytest.mark.parametrize("text", ['{"floatx": "float32", "epsilon": 0.01, "backend": "tensorflow"}', "{}", "no JSON"])
def test_settings_that_change_nothing(keras_json, text):
    environment.check_keras()  # no file
    keras_json(text)
    environment.check_keras()


def test_variables_count_more_than_the_file(keras_json, monkeypatch):
    keras_json('{"backend": "torch", "nnx_enabled": true}')
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("KERAS_NNX_ENABLED", "false")
    environment.check_keras()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(ValueError, match="backend is 'jax', as the variable KERAS_BACKEND says; expected 'tensorflow'"):
        environment.check_keras()


def test_a_program_that_has_imported_keras(monkeypatch):
    """What it works with counts, not what a file or a variable says now; the package sets nothing of its own."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    environment.check_keras()
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="'channels_first', as this program has set it; expected 'channels_last'"):
            backbones.create("small", 32, 8)
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize(("command", "status"), [
    (["train_softmax.py"], 2), (["train_tripletloss.py"], 2), (["validate_on_lfw.py", "drawn", "MODEL"], 2),
    (["-c", "from tf_facenet.cli import main; main()", "threshold", "MODEL", "drawn"], 2),
    (["-c", "from tf_facenet import Embedder"], 1), (["-c", "import tf_facenet.weights"], 1)])
def test_who_needs_other_settings_says_so_in_one_line(command, status, tmp_path, monkeypatch):
    """Before TensorFlow and Keras are imported, which may fail in many lines."""
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("tf_facenet.json", "{}")
    done = process.python(*(tmp_path / "model.keras" if word == "MODEL" else word for word in command))
    *traceback, line = done.stderr.splitlines()
    assert f"'channels_first', as '{tmp_path}/keras.json' says; expected 'channels_last'" in line
    assert (done.returncode, done.stdout) == (status, "")
    assert bool(traceback) == (status == 1)  # Python's own, of a program


@pytest.mark.parametrize("head", ["softmax", "adaface"])
def test_no_loss_depends_on_the_epsilon_of_keras(head):
    """Those of optimizers and batch normalisation are said where they are made."""
    keras.utils.set_random_seed(1)
    trainer = loops.make_trainer(head=head)
    features, labels = np.float32([[1e-4] * loops.WIDTH, [100] * loops.WIDTH]), np.int32([0, 1])
    expected = trainer.terms(features, labels, training=False)
    keras.config.set_epsilon(0.1)
    try:
        assert trainer.terms(features, labels, training=False) == expected
    finally:
        keras.config.set_epsilon(1e-7)


def in_a_fork(function, seconds=30):
    """What a function raises in a forked child, as text, "" if nothing; "hangs" if it does not end."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: of a process with threads
        child = os.fork()
    if not child:
        try:
            function()
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    for _ in range(seconds * 100):
        if os.waitpid(child, os.WNOHANG)[0]:
            with open(reading) as pipe:
                return pipe.read()
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


ROWS = np.eye(1, 16, dtype=np.float32).repeat(20_001, 0)
PIXELS = np.full((1, 16, 16, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def uses():
    """What a process can want of TensorFlow, which has started."""
    content = cv2.imencode(".png", PIXELS[0])[1].tobytes()
    one = faces.Faces(np.array([content], object), np.zeros(1, np.int64), ["Ann"])
    embedder = Embedder(tiny.create(16, 4), {"image_size": [16, 16]})
    large = Gallery(ROWS, ["Ann"] * len(ROWS), "")
    loop = loops.make_loop(tf.distribute.get_strategy())
    return {
        "embed": lambda: embedder.embed(PIXELS),
        "load": lambda: Embedder.load("model.keras"),
        "detect": Detector,
        "search": lambda: large.search(ROWS[:1]),
        "batches": lambda: list(in_order.evaluation_batches(one.samples, 1, 16)),
        "check": lambda: check.readable(one),
        "build": lambda: backbones.create("small", 32, 4),
        "train": lambda: loop.run(loops.batches(), 1, loops.Recorder(), None)}


@pytest.mark.parametrize("use", ["embed", "load", "detect", "search", "batches", "check", "build", "train"])
def test_a_fork_after_tensorflow_has_started_is_one_line_in_place_of_a_wait(uses, use):
    assert in_a_fork(uses[use]) == (
        "RuntimeError: This process was forked after TensorFlow had started, and would wait for ever for threads that "
        "a fork does not copy. Start it with multiprocessing.get_context('spawn'), or fork before anything uses "
        "TensorFlow and load the model in the child")


def test_what_needs_no_tensorflow_works_in_a_fork():
    assert in_a_fork(lambda: Gallery(ROWS[:2], ["Ann", "Bob"], "").search(ROWS[:1])) == ""


def test_a_fork_that_imports_the_package_later():
    tf.constant(1.0).numpy()

    def later():
        importlib.reload(environment)
        environment.check_fork()

    assert in_a_fork(later).startswith("RuntimeError: This process was forked after TensorFlow had started")
    environment.check_fork()  # here nothing has changed
