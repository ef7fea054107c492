# SPDX-License-Identifier: Apache-2.0
"""A run read the way the original read its own: mpstat's busy % averaged over the whole run.

The picture, not an answer. It is shown beside the list of what makes it void: what arrived, what
the checks found. For the published profile, and as an overlay on any report.
"""

from dataclasses import dataclass

from testbed.analysis.conclusions.grouping import grouped
from testbed.analysis.conclusions.sentences import significant
from testbed.analysis.findings import Finding, Verdict, check_run
from testbed.analysis.formats.mpstat import BUSY_COLUMNS, averages
from testbed.analysis.published.original import RUN_ID, published_run
from testbed.analysis.reading.records import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One arm: mean busy % on the scale of 0…`top_pct` (100 a CPU), idle seconds included."""

    arm: str
    title: str
    busy_pct: float
    top_pct: float
    delivered: int | None
    offered: int | None


def readings(run: Run) -> tuple[Reading, ...]:
    """One for every arm with an mpstat recording."""
    found = []
    for arm in run.arms:
        trials = [trial for trial in run.trials_of(arm.name) if trial.mpstat is not None]
        busy = []
        for trial in trials:
            assert trial.mpstat is not None
            row = next((r for r in averages(trial.mpstat) if r.cpu == "all"), None)
            if row is not None:
                busy.append(sum(row[c] for c in BUSY_COLUMNS) * trial.mpstat.cpu_count)
        if not busy:
            continue
        found.append(
            Reading(
                arm=arm.name,
                title=arm.title,
                busy_pct=sum(busy) / len(busy),
                top_pct=100.0 * max(t.mpstat.cpu_count for t in trials if t.mpstat),
                delivered=_sum([t.server.unique if t.server else None for t in trials]),
                offered=_sum([t.client.offered if t.client else None for t in trials]),
            )
        )
    return tuple(found)


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def claim(found: tuple[Reading, ...]) -> str:
    """The published sentence with this run's numbers: what a reader of the two charts would say."""
    if len(found) < 2 or min(reading.busy_pct for reading in found) <= 0:
        return ""
    most = max(found, key=lambda reading: reading.busy_pct)
    least = min(found, key=lambda reading: reading.busy_pct)
    times = most.busy_pct / least.busy_pct
    return (
        f"Read from mpstat's averages, as the original was: “{most.title}” {_percent(most)}, "
        f"“{least.title}” {_percent(least)}: “{significant(times, 2)} times as efficient”."
    )


def _percent(reading: Reading) -> str:
    return f"{significant(reading.busy_pct, 2)}\u00a0% of {reading.top_pct:.0f}\u00a0%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One run's picture and what makes it void, ready for a page."""

    heading: str
    readings: tuple[Reading, ...]
    claim: str
    void: tuple[str, ...]


def view(run: Run, findings: tuple[Finding, ...], *, overlay: bool) -> tuple[Claim, ...]:
    """What a page shows: nothing; this run in the published profile; the published beside it."""
    claims = []
    if run.profile == "original" or overlay:
        heading = "The published tables" if run.run_id == RUN_ID else "This run"
        claims.append(_claim(heading, run, findings))
    if overlay and run.run_id != RUN_ID:
        theirs = published_run()
        claims.append(_claim("The published tables", theirs, check_run(theirs)))
    return tuple(claims)


def _claim(heading: str, run: Run, findings: tuple[Finding, ...]) -> Claim:
    found = readings(run)
    return Claim(
        heading=heading, readings=found, claim=claim(found), void=void_because(run, findings)
    )


def void_because(run: Run, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """Every INVALID finding as a line: what makes the sentence above worthless."""
    groups = [g for g in grouped(run, findings) if g.verdict is Verdict.INVALID]
    return tuple(f"{group.code}: {line}" for group in groups for line in group.lines)
