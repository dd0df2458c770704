"""The figures of docs/reliability.md are those that the torture suite has written."""

import json

from tests.torture import ledger


def test_the_table_is_made_of_the_figures():
    text = ledger.DOCUMENT.read_text()
    known = json.loads(ledger.FIGURES.read_text()) if ledger.FIGURES.exists() else {}
    shown = text.partition(ledger.BEGIN)[2].partition(ledger.END)[0]
    assert shown == (ledger.table(known) if known else "")


def test_counts_add_up_and_facts_replace(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "FIGURES", tmp_path / "figures.json")
    monkeypatch.setattr(ledger, "DOCUMENT", tmp_path / "page.md")
    ledger.DOCUMENT.write_text(f"before\n{ledger.BEGIN}old\n{ledger.END}after\n")
    made = ledger.Ledger()
    made.count("kills, softmax", **{ledger.KILLS[0]: 2})
    made.count("kills, softmax", **dict.fromkeys(ledger.KILLS, 1))
    made.note("long training", seconds=150, line=[1.5, 2.5])
    made.count("fuzz, x", refused=1000)
    made.save()
    assert ledger.DOCUMENT.read_text() == (
        f"before\n{ledger.BEGIN}| attack | figures |\n|---|---|\n| fuzz, x | 1,000 refused |\n"
        "| kills, softmax | 1 at any moment, 3 while it writes |\n| long training | 150 seconds |\n\n"
        f"In all 4 kills and 1,000 damaged inputs.\n{ledger.END}after\n")
    assert json.loads(ledger.FIGURES.read_text())["long training"]["line"] == [1.5, 2.5]
