# SPDX-License-Identifier: Apache-2.0
"""The checks of windows and clocks: each with the fault that trips it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.findings import Verdict
from testbed.analysis.findings.clock import SKEW
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.run import load_run
from testbed.analysis.reading.trial_records import ClockReading, Snap
from tests.unit.factories.run_changes import (
    Change,
    RunFault,
    all_arms,
    found_by,
    of_facts,
    of_server,
    plain,
    resumed,
    trials,
    trip,
)
from tests.unit.factories.run_factory import RunRecipe, make_run

MS = 1_000_000
INVALID, SUSPECT = Verdict.INVALID, Verdict.SUSPECT


def idle_ticks(count: int) -> Callable[[Snap], Snap]:
    """Fewer ticks of idle time than there were, all CPUs together."""

    def change(snap: Snap) -> Snap:
        total = {**snap.stat.total, "idle": snap.stat.total["idle"] - count}
        return replace(snap, stat=replace(snap.stat, total=total))

    return change


def hog(cpus: float, where: Callable[[Trial], bool] = lambda trial: True) -> Change:
    """Another program took so many of the server's CPUs in the idle window of a second."""
    busy = of_server(idle_window=lambda w: (w[0], idle_ticks(round(100 * cpus))(w[1])))

    def change(run: Run) -> Run:
        changed = busy(run).trials
        pairs = zip(run.trials, changed, strict=True)
        return replace(run, trials=tuple(new if where(old) else old for old, new in pairs))

    return change


def hog_of(arm: str, cpus: float) -> Change:
    ticks = idle_ticks(round(100 * cpus))
    return of_server(arm, idle_window=lambda window: (window[0], ticks(window[1])))


def every_other_hog(run: Run) -> Run:
    """Two CPUs busy in the idle window of every second block."""
    return hog(2.0, lambda trial: trial.block % 2 == 0)(run)


def fast_clock(factor: float, ramp: bool = False) -> Change:
    def change(reading: ClockReading) -> ClockReading:
        return replace(reading, guest_s=reading.guest_s * factor)

    def of_trial(trial: Trial) -> Trial:
        ends = {"after": change(trial.clocks["after"])}
        if ramp:
            ends["before"] = change(trial.clocks["before"])
        return replace(trial, clocks={**trial.clocks, **ends})

    return trials(of_trial)


def stood_still(since_block: int) -> Change:
    """The server's clock stood still for a minute before a block, as in a saved machine."""

    def of_trial(trial: Trial) -> Trial:
        late_s = 60.0 * (trial.block >= since_block)
        clocks = {w: replace(c, guest_s=c.guest_s - late_s) for w, c in trial.clocks.items()}
        return replace(trial, clocks=clocks)

    return all_arms(*(trials(of_trial, arm) for arm in ("none", "netfilter", "xdp")))


FAULTS = {
    "a late first packet": RunFault(
        change=of_server(first_data_ns=lambda ns: ns + 62 * MS),
        code="window", verdict=SUSPECT, said="66 ms before the first packet",
    ),
    "idle seconds in the window": RunFault(
        change=of_server(first_data_ns=lambda ns: ns + 100 * MS),
        code="window", verdict=INVALID, said="the traffic fills 92.5 % of the CPU window",
    ),
    "no time of arrival": RunFault(
        change=of_server(first_data_ns=None), code="window", verdict=SUSPECT, said="not recorded",
    ),
    "a session that is mostly pauses": RunFault(
        change=of_server(uniques=(7000, 7000), traffic_s=1.2),
        code="window", verdict=INVALID, said="the traffic fills 85",
        follows=frozenset({"ledger"}),
    ),
    "a machine that has just booted": RunFault(
        change=of_facts("server-before", uptime_s=31.0),
        code="floor", verdict=SUSPECT, arm=None, said="booted 31 s before the first trial",
    ),
    "unknown uptime": RunFault(
        change=of_facts("server-before", uptime_s=None),
        code="floor", verdict=SUSPECT, arm=None, said="not recorded",
    ),
    "a hog in the guest": RunFault(
        change=hog(1.0), code="quiet", verdict=INVALID, said="1.0",
        follows=frozenset({"floor"}),
    ),
    "some work in the guest": RunFault(
        change=hog(0.4), code="quiet", verdict=SUSPECT, said="0.4",
        follows=frozenset({"floor"}),
    ),
    "a clock that is 1 % fast": RunFault(
        change=fast_clock(1.01), code="clock", verdict=INVALID, said="the server's clock went",
    ),
    "a clock that stood still between two blocks": RunFault(
        change=stood_still(3), code="clock", verdict=INVALID, arm=None, said="the server's clock",
    ),
    "no clock beside the host's": RunFault(
        change=trials(lambda trial: replace(trial, clocks={})),
        code="clock", verdict=SUSPECT, said="not recorded",
    ),
    "a clock that counts ticks": RunFault(
        change=of_facts("server-before", clocksource={"current": "refined-jiffies"}),
        code="clock", verdict=INVALID, arm=None, said="counts ticks",
    ),
    "an unknown clock": RunFault(
        change=of_facts("server-before", clocksource={}),
        code="clock", verdict=SUSPECT, arm=None, said="clock source",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("run")))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_trips_its_check(run: Run, name: str) -> None:
    trip(run, FAULTS[name])


@pytest.mark.parametrize(
    ("change", "code"),
    [(of_server(first_data_ns=lambda ns: ns + 25 * MS), "window"), (hog(0.13), "quiet")],
)
def test_real_processors_are_held_to_more(
    tmp_path: Path, run: Run, change: Change, code: str
) -> None:
    assert not found_by(change(run), code)
    kvm = load_run(make_run(tmp_path, RunRecipe(accelerator="kvm")))
    assert [f.verdict for f in found_by(change(kvm), code)] == [SUSPECT] * 5


def test_a_session_with_short_pauses_fills_its_window(run: Run) -> None:
    session = of_server(uniques=(7000, 7000), traffic_s=1.38, first_data_ns=None)
    assert not found_by(session(run), "window")


def test_what_never_arrived_is_not_late(run: Run) -> None:
    assert not found_by(of_server(unique=0, first_data_ns=None)(run), "window")


def test_a_drift_too_small_for_a_trial_shows_over_the_run(run: Run) -> None:
    drifting = all_arms(*(trials(_one_percent_fast, arm) for arm in ("none", "netfilter", "xdp")))
    changed = drifting(run)
    (finding,) = found_by(changed, "clock")
    assert (finding.scope.arm, finding.verdict) == (None, INVALID)
    assert "the host's went" in plain(finding.statement)


@pytest.mark.parametrize(("step_s", "is_found"), [(0.005, False), (0.02, True), (-0.02, True)])
def test_a_step_of_the_clock_is_found_beyond_what_proc_uptime_cuts_off(
    run: Run, step_s: float, is_found: bool
) -> None:
    """Beyond the allowed skew; /proc/uptime has hundredths of a second."""

    def stepped(trial: Trial) -> Trial:
        before, after = trial.clocks["before"], trial.clocks["after"]
        shortest_s = (after.host_before_ns - before.host_after_ns) / 1e9
        longest_s = (after.host_after_ns - before.host_before_ns) / 1e9
        went_s = longest_s * (1 + SKEW) if step_s > 0 else shortest_s * (1 - SKEW)
        moved = replace(after, guest_s=before.guest_s + went_s + step_s)
        return replace(trial, clocks={"before": before, "after": moved})

    found = [one for one in found_by(trials(stepped)(run), "clock") if one.scope.arm]
    assert bool(found) == is_found


def _one_percent_fast(trial: Trial) -> Trial:
    """The host took half a second to ask, which hides 1 % of a trial's four."""

    def change(reading: ClockReading) -> ClockReading:
        after_ns = reading.host_after_ns + 200 * MS
        return replace(reading, host_after_ns=after_ns, guest_s=reading.guest_s * 1.01)

    return replace(trial, clocks={name: change(reading) for name, reading in trial.clocks.items()})


def test_idle_windows_that_differ_hide_the_traffic(run: Run) -> None:
    found = found_by(every_other_hog(run), "floor")
    assert {(f.verdict, f.scope.kind) for f in found} == {(INVALID, "trial")}
    assert "CPU-s more than idling, whose noise is" in found[0].statement


def test_what_works_while_nothing_is_sent_would_seem_cheap(run: Run) -> None:
    (found,) = found_by(hog(0.22)(run), "quiet")
    assert (found.verdict, found.scope.arm, found.scope.block) == (SUSPECT, "xdp", None)
    assert plain(found.statement) == (
        "its idle windows were busier than those without a hook by 0.22 CPUs: "
        "7% of its cost are taken off"
    )
    everywhere = all_arms(*(hog_of(arm, 0.22) for arm in ("none", "netfilter", "xdp")))
    assert not found_by(everywhere(run), "quiet")


def test_a_clock_may_stand_still_where_a_run_was_cut_off(run: Run) -> None:
    assert found_by(resumed(3)(stood_still(3)(run)), "clock") == []
