"""What cannot be done with the devices and processes that there are is said before anything starts."""

import types

import keras
import pytest
import tensorflow as tf

from tf_facenet.heads.head import Head
from tf_facenet.options import SoftmaxOptions, TripletOptions
from tf_facenet.training import distribution

TWO = {"workers": "localhost:1,localhost:2", "worker_index": 0}


@pytest.fixture
def gpus(monkeypatch):
    """A machine that says it has two GPUs."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0", "GPU:1"] if kind == "GPU" else [])


@pytest.mark.parametrize(("options", "message"), [
    ({"batch_size": 9, **TWO}, r"--batch_size is 9; expected a multiple of 2 \(2 devices x 1 micro-batches\)"),
    ({"batch_size": 90, "accumulate": 4, **TWO}, r"--batch_size is 90; expected a multiple of 8 \(2 devices x 4 micro"),
    ({"batch_size": 9, "strategy": "mirrored", "num_devices": 2}, "--batch_size is 9; expected a multiple of 2"),
    ({"num_devices": 2, **TWO}, "--num_devices is 2; a worker without GPUs is one device: start more")], ids=str)
def test_what_cannot_be_divided(options, message):
    with pytest.raises(ValueError, match=message):
        distribution.strategy(SoftmaxOptions(**options))


@pytest.mark.parametrize("where", [{}, TWO, {"strategy": "mirrored"}], ids=str)
def test_more_devices_than_exist(gpus, where):
    with pytest.raises(ValueError, match="--num_devices is 3, but this machine has 2 GPUs"):
        distribution.strategy(SoftmaxOptions(num_devices=3, **where))


def test_norms_of_nested_models_see_all_replicas():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    inputs = keras.Input((4,))
    trainer = types.SimpleNamespace(backbone=keras.Model(inputs, inner(inputs)), head=Head(2, "head"))
    distribution.prepare(trainer, types.SimpleNamespace(num_replicas_in_sync=2), 8)
    assert inner.layers[0].synchronized


def test_offline_triplets_are_for_one_process():
    with pytest.raises(ValueError, match="--mining offline works in one process only: .*; take --strategy mirrored"):
        distribution.strategy(TripletOptions(mining="offline", **TWO))


@pytest.mark.parametrize(("jit", "replicas", "expected"), [("off", 1, False), ("auto", 1, False), ("on", 1, True),
                                                           ("auto", 2, False)])
def test_what_is_compiled_without_a_gpu(jit, replicas, expected):
    strategy = types.SimpleNamespace(num_replicas_in_sync=replicas)
    assert distribution.jit(SoftmaxOptions(jit=jit), strategy) is expected


def test_several_replicas_cannot_be_compiled():
    with pytest.raises(ValueError, match="--jit on works on one device, and here are 2; take --jit off"):
        distribution.jit(SoftmaxOptions(jit="on"), types.SimpleNamespace(num_replicas_in_sync=2))


@pytest.mark.parametrize(("precision", "policy"), [("bfloat16", "mixed_bfloat16"), ("float16", "mixed_float16")])
def test_precisions_are_dtype_policies(precision, policy):
    try:
        distribution.strategy(SoftmaxOptions(precision=precision, strategy="none"))
        assert keras.config.dtype_policy().name == policy
    finally:
        keras.config.set_dtype_policy("float32")
