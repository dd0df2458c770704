"""Fixtures of the torture suite: how much of it is asked for, and what it has done."""

import json

import pytest

from tests.torture.ledger import Ledger

LEDGER = pytest.StashKey()


@pytest.fixture(scope="session")
def effort(request):
    """A function of two amounts: the first in the ordinary tests, the second in the torture suite."""
    full = request.config.getoption("torture")
    return lambda small, large: large if full else small


@pytest.fixture
def ledger(pytestconfig):
    """The `Ledger` of the session, written at its end if the whole suite was asked for."""
    return pytestconfig.stash[LEDGER]


def pytest_configure(config):
    config.stash[LEDGER] = Ledger()


def pytest_sessionfinish(session):
    """A worker of pytest-xdist hands its figures to the process that started it, which writes those of all."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["ledger"] = json.dumps(config.stash[LEDGER].counts)
    elif config.getoption("torture"):
        config.stash[LEDGER].save()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Add the figures of a worker that has ended."""
    figures = getattr(node, "workeroutput", {}).get("ledger", "{}")
    for subject, kinds in json.loads(figures).items():
        node.config.stash[LEDGER].count(subject, **kinds)


def pytest_collection_modifyitems(config, items):
    if not config.getoption("torture"):
        skipped = pytest.mark.skip(reason="only in make torture")
        for item in items:
            if item.get_closest_marker("torture"):
                item.add_marker(skipped)
