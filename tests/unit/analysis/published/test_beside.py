# SPDX-License-Identifier: Apache-2.0
"""A run beside the published tables: the right arms, and everything that differs."""

from pathlib import Path

import pytest

from testbed.analysis.page.report import render_report
from testbed.analysis.plots import draw_overlay
from testbed.analysis.published.beside import Beside, beside, pairs_of
from testbed.analysis.published.original import published_run
from testbed.analysis.reading.run import load_run
from tests.unit.factories.run_factory import RunRecipe, make_run

pytestmark = pytest.mark.usefixtures("sketched")


def lines_of(found: Beside | None) -> dict[str, tuple[str, str]]:
    """By name, of the pairs with the original's name before it: as published, in this run."""
    assert found is not None
    lines = {f"{name}: {line.name}": line for name, pair in found.pairs for line in pair}
    lines |= {line.name: line for line in found.differs}
    return {
        name: (line.theirs.replace("\u00a0", " "), line.ours.replace("\u00a0", " "))
        for name, line in lines.items()
    }


@pytest.mark.parametrize(
    ("arms", "pairs"),
    [
        (("none", "netfilter", "xdp"), ["netfilter", "xdp"]),
        (("netfilter", "netfilter-logging", "xdp"), ["netfilter-logging", "xdp"]),
        (("none", "xdp", "xdp-again"), ["xdp"]),
        (("none",), []),
    ],
)
def test_an_arm_stands_beside_the_one_it_repeats(
    tmp_path: Path, arms: tuple[str, ...], pairs: list[str]
) -> None:
    run = load_run(make_run(tmp_path, RunRecipe(arms=arms, trials=1)))
    assert [ours.name for _, ours in pairs_of(run, published_run())] == pairs


def test_what_differs_is_said(tmp_path: Path) -> None:
    lines = lines_of(beside(load_run(make_run(tmp_path))))
    assert lines["Netfilter: Packets that arrived"] == ("71,093", "70,000 of 70,000")
    assert lines["eBPF: Packets that arrived"] == ("5", "70,000 of 70,000")
    assert lines["eBPF: Attached as"] == ("said to be native, was generic", "generic")
    assert lines["eBPF: Kernel log lines a trial"] == ("not recorded", "0")
    assert lines["Netfilter: mpstat busy, mean"][0] == "20 % of 400 %"
    assert lines["Machine"] == ("aarch64", "x86_64")
    assert lines["Server kernel"] == ("5.15.0-141-generic", "6.1.0-41-amd64")
    assert lines["Order"] == ("one arm after the other", "arms in turn, 5 blocks")
    assert lines["Without a hook"] == ("not measured", "measured too")
    assert lines["Packets sent in a trial"] == ("not recorded", "14,000")


def test_what_is_alike_is_not_among_the_differences(tmp_path: Path) -> None:
    lines = lines_of(beside(load_run(make_run(tmp_path))))
    assert "NIC driver" not in lines  # an e1000 in both
    assert "Trials" not in lines  # five of each arm in both


def test_the_published_tables_are_not_set_beside_themselves() -> None:
    published = published_run()
    assert beside(published) is None
    assert draw_overlay(published) is None


def test_page_and_markdown_have_the_picture_the_table_and_no_sentence_of_victory(
    tmp_path: Path,
) -> None:
    run = load_run(make_run(tmp_path))
    files = render_report(run, overlay=True)
    html, markdown = files["report.html"], files["report.md"]
    assert isinstance(html, str)
    assert isinstance(markdown, str)
    for page in (html, markdown):
        assert "Beside the published tables" in page
        assert "This is not a valid comparison, because:" in page
        assert "said to be native, was generic" in page
    assert 'id="published"' not in html
    assert html.index('id="cpu"') < html.index('id="beside"') < html.index('id="findings"')
    assert "plots/beside-published.svg" in files
    assert "plots/beside-published.svg" not in render_report(run)
