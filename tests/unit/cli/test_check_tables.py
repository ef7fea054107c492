# SPDX-License-Identifier: Apache-2.0
"""The tables of checks in docs/: the records' own words, in the checks' order."""

import re

import pytest

from testbed.analysis.findings import CHECKS
from testbed.analysis.receipt.checks import COUNT_CHECKS
from testbed.cli.check_tables import BEGIN, DOCS, END, SECTIONS, cell, pages, table, with_table


@pytest.mark.parametrize("page", ["measuring.md", "counting.md"])
def test_the_table_is_that_of_the_records(page: str) -> None:
    written = (DOCS / page).read_text(encoding="utf-8")
    assert written == pages()[DOCS / page], "write it anew: python -m testbed.cli.check_tables"


@pytest.mark.parametrize("checks", [CHECKS, COUNT_CHECKS], ids=["run", "count"])
def test_a_row_a_check_in_their_order(checks: tuple[object, ...]) -> None:
    made = table(checks, SECTIONS)  # type: ignore[arg-type]
    codes = re.findall(r"^\| \[?`([a-z-]+)`", made, re.MULTILINE)
    assert codes == [check.code for check in checks]  # type: ignore[attr-defined]
    for line in made.splitlines():
        assert len(re.findall(r"(?<!\\)\|", line)) == 5, "four cells"


def test_every_link_leads_to_a_section() -> None:
    page = (DOCS / "measuring.md").read_text(encoding="utf-8")
    headings = re.findall(r"^##+ (.+)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in headings}
    assert set(SECTIONS.values()) <= anchors
    assert SECTIONS.keys() <= {check.code for check in CHECKS}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gate/<arm>/, < 99 %", "gate/&lt;arm>/, &lt; 99 %"),
        ("raw/*, a|b", r"raw/\*, a\|b"),
        ("`a<b>*` and [c]", r"`a<b>*` and \[c\]"),
        ("two\n  lines", "two lines"),
    ],
)
def test_a_cell_shows_what_the_record_says(text: str, shown: str) -> None:
    assert cell(text) == shown


def test_only_what_stands_between_the_marks_is_written() -> None:
    assert with_table(f"a\n{BEGIN}\nold\n{END}\nb\n", "new") == f"a\n{BEGIN}\n\nnew\n\n{END}\nb\n"
    with pytest.raises(ValueError, match="no place"):
        with_table(f"a\n{BEGIN}\nold\n", "new")
