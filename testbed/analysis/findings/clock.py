# SPDX-License-Identifier: Apache-2.0
"""The check that a second in the server is a second: its clock against the host's."""

from collections import defaultdict

from testbed.analysis.findings.finding import (
    WHOLE_RUN,
    Check,
    Evidence,
    Finding,
    Scope,
    Verdict,
    of,
)
from testbed.analysis.reading.environment import UNKNOWN, fact
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.trial_records import ClockReading

SKEW = 0.005
STEP_S = 0.01
"""/proc/uptime is cut to hundredths of a second."""
TICK_CLOCKS = ("jiffies", "refined-jiffies")
"""Clock sources that count ticks: 4 ms apart at 250 Hz, and late when ticks are."""


def clock(run: Run) -> list[Finding]:
    found = _source(run)
    starts = {at.block for at in run.resumed} | {boot.block for boot in run.boots}
    stretches: dict[int, list[ClockReading]] = defaultdict(list)
    for trial in run.trials:
        before, after = trial.clocks.get("before"), trial.clocks.get("after")
        if before is None or after is None:
            if not trial.problems:
                found.append(of(trial).unknown("clock", "the server's clock beside the host's"))
            continue
        stretches[sum(trial.block >= start for start in starts)] += [before, after]
        found += _held_against(of(trial), before, after)
    skewed = any(finding.verdict is Verdict.INVALID for finding in found)
    if not skewed:  # over the whole run the slightest drift shows; between its parts clocks stood
        for readings in stretches.values():
            readings.sort(key=lambda reading: reading.host_before_ns)
            found += _held_against(WHOLE_RUN, readings[0], readings[-1])
    return found


def _held_against(scope: Scope, before: ClockReading, after: ClockReading) -> list[Finding]:
    """The guest was asked somewhere between two looks at the host's clock, each time."""
    guest_s = after.guest_s - before.guest_s
    least_s = (after.host_before_ns - before.host_after_ns) / 1e9
    most_s = (after.host_after_ns - before.host_before_ns) / 1e9
    low_s, high_s = least_s * (1 - SKEW) - STEP_S, most_s * (1 + SKEW) + STEP_S
    if low_s <= guest_s <= high_s:
        return []
    return [
        scope.finding(
            "clock",
            Verdict.INVALID,
            f"the server's clock went {guest_s:.2f}\u00a0s while the host's went "
            f"{least_s:.2f} to {most_s:.2f}\u00a0s",
            Evidence(
                quantity="time that passed in the server",
                observed=round(guest_s, 3),
                unit="s",
                bound=f"{low_s:.3f} … {high_s:.3f}",
            ),
            advice="Every time and rate of this run is wrong by as much: look for what steers the "
            "server's clock (chrony, adjtimex) and at its clock source.",
            degree=abs(guest_s - (low_s + high_s) / 2),
        )
    ]


def _source(run: Run) -> list[Finding]:
    source = fact(run, "server-before", "clocksource", "current")
    if source == UNKNOWN:
        return [WHOLE_RUN.unknown("clock", "the server's clock source")]
    if source not in TICK_CLOCKS:
        return []
    return [
        WHOLE_RUN.finding(
            "clock",
            Verdict.INVALID,
            f"the server's clock counts ticks (clock source {source})",
            Evidence(quantity="clock source", observed=source, bound="no tick counter"),
            advice="Its kernel found no usable clock: see clocksource.available in facts/, and "
            "the kernel's command line.",
        )
    ]


CLOCK_CHECKS = (
    Check(
        code="clock",
        what="As much time passed in the server as on the host; its clock does not count ticks.",
        why="The cost is CPU time over the server's own clock: 1 % too fast is 1 % too dear.",
        threshold=f"INVALID when it differs by > {SKEW:.1%} beyond what asking took, over a trial "
        "or the whole run (each part of a resumed one, each boot), or when the clock source is "
        "jiffies; SUSPECT when not recorded",
        source="/proc/uptime of the server between two readings of the host's monotonic clock "
        "(host.json), clocksource (facts)",
        look=clock,
    ),
)
