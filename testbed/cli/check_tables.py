# SPDX-License-Identifier: Apache-2.0
"""The tables of checks in docs/, made from the records that the checks themselves are.

`python -m testbed.cli.check_tables` writes them anew; a test fails while they are not what this
makes.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from testbed.analysis.findings import CHECKS
from testbed.analysis.receipt.checks import COUNT_CHECKS

DOCS = Path(__file__).resolve().parents[2] / "docs"
BEGIN = "<!-- the records' own words: `python -m testbed.cli.check_tables` writes this table -->"
END = "<!-- end of the table -->"
SECTIONS = {
    "ledger": "the-packet-ledger",
    "checksum": "what-generic-xdp-changes",
    "same-work": "the-gate",
    "sample": "the-trials-own-packets",
    "window": "windows",
    "cost": "the-cost-of-a-packet",
    "generator": "the-load",
    "replication": "order-and-statistics",
}
"""Checks of a run that have a section of docs/measuring.md to themselves."""


class Record(Protocol):
    """The words of a check, of a run or of a count, that the table has."""

    @property
    def code(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def threshold(self) -> str: ...
    @property
    def source(self) -> str: ...


def table(checks: Iterable[Record], sections: Mapping[str, str]) -> str:
    """Return the checks as a table in Markdown, in their order."""
    lines = ["| check | what and why | threshold | source |", "|---|---|---|---|"]
    for check in checks:
        name = f"`{check.code}`"
        if section := sections.get(check.code):
            name = f"[{name}](#{section})"
        words = (f"{check.what} {check.why}", check.threshold, check.source)
        lines.append(f"| {name} | {' | '.join(map(cell, words))} |")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Return text such that a cell of a table shows it; `code` stays code."""
    parts = " ".join(text.split()).replace("|", r"\|").split("`")
    for place in range(0, len(parts), 2):  # what is not between backticks
        for char, shown in (("<", "&lt;"), ("*", r"\*"), ("[", r"\["), ("]", r"\]")):
            parts[place] = parts[place].replace(char, shown)
    return "`".join(parts)


def pages() -> dict[Path, str]:
    """Return each page that has a table, with the table as it is to be.

    Raises ValueError for a page without the two marks that the table stands between.
    """
    tables = {
        DOCS / "measuring.md": table(CHECKS, SECTIONS),
        DOCS / "counting.md": table(COUNT_CHECKS, {}),
    }
    return {
        path: with_table(path.read_text(encoding="utf-8"), made) for path, made in tables.items()
    }


def with_table(text: str, made: str) -> str:
    """Return a page's text with another table between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no place for the table of checks")
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


if __name__ == "__main__":
    for page, content in pages().items():
        page.write_text(content, encoding="utf-8")
        print(page, file=sys.stderr)
