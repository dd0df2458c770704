"""Damaged inputs to every parser: each is read, or refused in a line that names it, in little time and memory."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import record_mutations
from tests.torture import fuzz
from tests.torture.parsers import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files(name, effort, ledger, tmp_path):
    target = TARGETS[name]
    refused, accepted = fuzz.run(target, effort(*target.inputs), 0, tmp_path)
    ledger.count(f"fuzz, {name}", refused=refused, read=accepted)
    assert refused + accepted == effort(*target.inputs)


def test_damaged_record_files(effort, ledger, tmp_path):
    refused, accepted = record_mutations.run(effort(300, 10_000), 0, tmp_path)
    ledger.count("fuzz, record files (.rec, .idx)", refused=refused, read=accepted)
    assert refused > 100
    assert accepted > 30


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "model files"])
def test_files_of_anything(name, effort, ledger, tmp_path):
    """Contents that Hypothesis thinks of, from nothing."""
    target = TARGETS[name]
    target.write(tmp_path)
    path = max(filter(Path.is_file, tmp_path.rglob("*")), key=lambda path: path.stat().st_size)

    @settings(max_examples=effort(10, 300), deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode(errors="surrogatepass")))
    def attack(content):
        path.write_bytes(content)
        fuzz.refusal(target.use, tmp_path, repr(content))
        ledger.count(f"fuzz, {name}", anything=1)

    with fuzz.limits():
        attack()
