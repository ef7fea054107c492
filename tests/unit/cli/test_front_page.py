# SPDX-License-Identifier: Apache-2.0
"""The README and the pages that it leads to: its words, its picture, its links, its commands."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted(PROJECT.glob("docs/*.md"))]


def test_it_is_short() -> None:
    assert len(README.split()) < 700


def test_the_answer_under_the_picture_is_the_one_that_the_sample_printed() -> None:
    """It has the run of the picture: `results/sample`, whose page begins with these sentences."""
    page = (PROJECT / "results/sample/report.md").read_text(encoding="utf-8")
    answers = re.findall(r"^\*\*(.+)\*\*$", page.partition("\n## Cost")[0], re.MULTILINE)
    assert answers
    assert [one for one in answers if f"\n> {one.replace(chr(0xA0), ' ')}\n" not in README] == []


def test_what_it_asks_of_the_script_is_there() -> None:
    asked = set(re.findall(r"^\$ \./lab ?(.*)$", README, re.MULTILINE))
    assert asked == {"", "test"}
    cases = re.findall(r'^("?[a-z|" ]+"?)\)$', (PROJECT / "lab").read_text(), re.MULTILINE)
    assert {'""', "test"} <= set(cases)


def test_no_page_is_out_of_its_reach() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", README))
    assert {str(page.relative_to(PROJECT)) for page in PAGES[2:]} - linked == set()


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        if "://" in name:
            continue
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_the_ratios_of_the_xdp_paper_are_those_of_its_idle_shares() -> None:
    text = (PROJECT / "docs/three-times.md").read_text(encoding="utf-8")
    rows = [
        [float(cell) for cell in row.split("|")]
        for row in re.findall(r"^\| ([\d.]+(?: \| [\d.]+){5}) \|$", text, re.MULTILINE)
    ]
    assert [row[0] for row in rows] == [0.25, 0.5, 1, 2, 3]
    for _, idle_linux, idle_xdp, busy_linux, busy_xdp, ratio in rows:
        assert busy_linux == pytest.approx(100 - idle_linux)
        assert busy_xdp == pytest.approx(100 - idle_xdp)
        assert ratio == round(busy_linux / busy_xdp, 2)
    assert all(one[-1] > other[-1] for one, other in pairwise(rows)), "it would be a constant"
