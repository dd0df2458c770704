"""What the torture suite has done, in figures: a JSON file, and the table of docs/reliability.md made of it.

    python -m tests.torture.ledger        writes the table anew
"""

import json
from collections import defaultdict

from tests.conftest import ROOT

DOCUMENT = ROOT / "docs/reliability.md"
FIGURES = ROOT / "docs/reliability.json"
KILLS = ("while it writes", "at any moment")
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


class Ledger:
    """Counts by subject and kind."""

    def __init__(self):
        self.counts = defaultdict(dict)

    def count(self, subject, **kinds):
        """Add to the counts of a subject; lists grow longer."""
        for kind, number in kinds.items():
            self.counts[subject][kind] = self.counts[subject].get(kind, type(number)()) + number

    def note(self, subject, **facts):
        """State facts of a subject, instead of what was stated before."""
        self.counts[subject] |= facts

    def save(self):
        """Write the figures and the table; subjects that this session has not touched stay."""
        known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        FIGURES.write_text(json.dumps({**known, **self.counts}, indent=1, sort_keys=True) + "\n")
        write_table()


def table(counts):
    """Markdown table of the figures."""
    rows = ["| attack | figures |", "|---|---|"]
    for subject, kinds in sorted(counts.items()):
        figures = [_figure(kind, value) for kind, value in kinds.items() if not isinstance(value, list)]
        rows.append(f"| {subject} | {', '.join(figures)} |")
    inputs = sum(value for subject, kinds in counts.items() if subject.startswith("fuzz") for value in kinds.values())
    kills = sum(kinds.get(kind, 0) for kinds in counts.values() for kind in KILLS)
    return "\n".join([*rows, "", f"In all {kills:,} kills and {inputs:,} damaged inputs."]) + "\n"


def _figure(kind, value):
    return f"{value:,} {kind}" if isinstance(value, int) else f"{kind} {value}"


def write_table():
    """Put the table between the two marks of the document."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}{table(json.loads(FIGURES.read_text()))}{END}{after}")


if __name__ == "__main__":
    write_table()
