# SPDX-License-Identifier: Apache-2.0
"""The published tables through the same checks as any run: what they show, and no ratio."""

import pytest

from testbed.analysis.conclusions.comparison import compare
from testbed.analysis.conclusions.opening import opening
from testbed.analysis.findings import Verdict, check_run, worst
from testbed.analysis.formats.mpstat import COLUMNS, CpuUsage
from testbed.analysis.page.report import render_report
from testbed.analysis.published import claim
from testbed.analysis.published.original import published_run, ticks_of
from testbed.analysis.reading.records import Run

INVALID_OF_THE_DATA = {"delivery", "mode", "ticks", "cost", "floor", "interleaved", "replication"}
"""Findings that their numbers show by themselves. `exhibit` is our label, not their data."""


@pytest.fixture(scope="module")
def published() -> Run:
    return published_run()


def row(**percent: float) -> CpuUsage:
    return CpuUsage(cpu="all", percent=tuple(percent.get(column, 0.0) for column in COLUMNS))


def test_the_ticks_behind_printed_percentages() -> None:
    ticks = ticks_of(row(usr=2.60, sys=1.56, soft=2.34, idle=93.49), 4)
    assert {name: count for name, count in ticks.items() if count} == {
        "user": 10, "system": 6, "softirq": 9, "idle": 359,
    }  # fmt: skip
    assert sum(ticks.values()) == 384  # of 400: four per cent of the time is in no column


def test_what_no_number_of_ticks_gives_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole number of ticks"):
        ticks_of(row(usr=33.33, idle=33.33), 1)


def test_the_published_softirq_column_rests_on_seven_ticks(published: Run) -> None:
    xdp = published.trials[1].server
    assert xdp is not None
    assert xdp.after.stat.total["softirq"] - xdp.before.stat.total["softirq"] == 7


def test_the_published_tables_fail_and_give_no_ratio(published: Run) -> None:
    findings = check_run(published)
    found = {f.code for f in findings if f.verdict is Verdict.INVALID} - {"exhibit"}
    assert found == INVALID_OF_THE_DATA
    assert {f.code for f in findings if f.verdict is Verdict.SUSPECT} >= {"baseline", "closure"}
    assert worst(findings) is Verdict.INVALID
    comparisons = compare(published, findings)
    assert all(comparison.ratio is None for comparison in comparisons)
    assert not opening(published, findings, comparisons).answers


def test_the_published_three_times_appears_with_what_makes_it_void(published: Run) -> None:
    (said,) = claim.view(published, check_run(published), overlay=False)
    assert "20 % of 400 %" in said.claim.replace("\u00a0", " ")
    assert "“3.1 times as efficient”" in said.claim
    assert [(r.delivered, r.offered) for r in said.readings] == [(71_093, None), (5, None)]
    void = " ".join(said.void)
    assert "delivery" in void
    assert "71,093" in void


def test_the_published_page_is_rendered_twice_alike(published: Run) -> None:
    once, again = render_report(published), render_report(published)
    assert once == again
    page = once["report.html"]
    assert "As the original read it" in page
    assert "This is not a valid comparison, because:" in page
