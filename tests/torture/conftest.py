"""Fixtures of the torture suite: how much of it is asked for, and what it has done."""

import pytest

from tests.torture.ledger import Ledger

LEDGER = pytest.StashKey()


@pytest.fixture(scope="session")
def effort(request):
    """A function of two amounts: the first in the ordinary tests, the second in the torture suite."""
    full = request.config.getoption("torture")
    return lambda small, large: large if full else small


@pytest.fixture(scope="session")
def ledger(request):
    """The `Ledger` of the session, written at its end if the whole suite was asked for."""
    made = Ledger()
    yield made
    if request.config.getoption("torture"):
        made.save()


def pytest_collection_modifyitems(config, items):
    if not config.getoption("torture"):
        skipped = pytest.mark.skip(reason="only in make torture")
        for item in items:
            if item.get_closest_marker("torture"):
                item.add_marker(skipped)
