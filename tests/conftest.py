"""Fixtures that every test may use."""

import logging
import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tf_facenet  # noqa: E402, F401, I001  (first: it lets TensorFlow use oneDNN)
import tensorflow as tf  # noqa: E402  (after the log level)

from tests.zygote import Zygote  # noqa: E402

# Two replicas on one machine; must be said before TensorFlow touches a device.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)

ROOT = pathlib.Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    """Options of the torture suite, tests/torture."""
    parser.addoption("--torture", action="store_true", help="the whole torture suite")
    parser.addoption("--soak", type=float, default=420, help="seconds of the torture suite's long training")


def pytest_collection_modifyitems(items):
    """What takes long comes first, so that no processor waits for it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _plain_log():
    """Each test starts with the package's logger as an import leaves it, whatever commands ran before."""
    logger = logging.getLogger("tf_facenet")
    logger.handlers[:], logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def two_devices():
    """The one MirroredStrategy of a process: those of several mix up their collectives."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def zygote():
    """A running `Zygote`."""
    with Zygote() as made:
        yield made


@pytest.fixture(scope="session")
def shared():
    """Folder of recorded reference numbers and real faces beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the reference data in {folder}")
    return folder
