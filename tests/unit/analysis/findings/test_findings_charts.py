# SPDX-License-Identifier: Apache-2.0
"""The checks of mpstat's chart: each with its fault, and none of them touches a comparison."""

from pathlib import Path

import pytest

from testbed.analysis.conclusions.comparison import compare, excluded_arms
from testbed.analysis.conclusions.opening import opening
from testbed.analysis.findings import Verdict, check_run, instrument_marks, worst
from testbed.analysis.findings.finding import MPSTAT
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.run import load_run
from tests.unit.factories.run_changes import (
    RunFault,
    found_by,
    later_ticks,
    of_client,
    of_facts,
    of_server,
    trip,
)
from tests.unit.factories.run_factory import make_run

FAULTS = {
    "columns that do not add up": RunFault(
        change=of_server(after=later_ticks(system=-60, user=-30)),
        code="closure",
        verdict=Verdict.SUSPECT,
        said="84 % of the CPU time that passed",
        about="mpstat",
        follows=frozenset({"ticks"}),
    ),
    "few ticks": RunFault(
        change=of_server(after=later_ticks(softirq=-60, system=60)),
        code="ticks",
        verdict=Verdict.SUSPECT,
        said="interrupts 3",
        about="mpstat",
    ),
    "hardly a tick": RunFault(
        change=of_server(after=later_ticks(softirq=-86, system=86)),
        code="ticks",
        verdict=Verdict.INVALID,
        said="is not to be quoted",
        about="mpstat",
    ),
    "in step with the tick": RunFault(
        change=of_client(tick_lock={100: 0.9, 250: 0.93, 1000: 0.05}),
        code="lock",
        verdict=Verdict.SUSPECT,
        said="sends keep step with the tick of 250 Hz (0.93 of 1)",
        about="mpstat",
    ),
    "no tick lock recorded": RunFault(
        change=of_client(tick_lock={}),
        code="lock",
        verdict=Verdict.SUSPECT,
        said="not recorded",
        about="mpstat",
    ),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("run")))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_chart_trips_its_check(run: Run, name: str) -> None:
    trip(run, FAULTS[name])


def test_they_mark_the_chart_and_no_comparison(run: Run) -> None:
    fault = FAULTS["hardly a tick"]
    changed = fault.change(run)
    findings = check_run(changed)
    assert worst(findings) is Verdict.VALID
    assert excluded_arms(changed, findings) == {}
    comparisons = compare(changed, findings)
    assert len(comparisons) == 3 and not any(c.suspect for c in comparisons)
    assert opening(changed, findings, comparisons).status == "VALID"
    assert [f.code for f in instrument_marks(findings, MPSTAT, "xdp")] == ["ticks"]
    assert instrument_marks(findings, MPSTAT, "none") == ()


def test_the_lock_is_held_against_the_kernels_own_tick(run: Run) -> None:
    at_1000 = of_client(tick_lock={100: 0.0, 250: 0.9, 1000: 0.1})(run)
    assert found_by(at_1000, "lock")
    facts = of_facts("server-before", kernel_config={"HZ": 1000})
    assert not found_by(facts(at_1000), "lock")


def test_ticks_are_those_of_the_kernel(tmp_path: Path, run: Run) -> None:
    """At 1,000 Hz a jiffy of 10 ms holds ten ticks, not two and a half."""
    few = FAULTS["hardly a tick"].change(run)
    assert found_by(few, "ticks")[0].verdict is Verdict.INVALID
    slow = of_facts("server-before", kernel_config={"HZ": 100})(run)
    assert {f.verdict for f in found_by(slow, "ticks")} == set()
