# SPDX-License-Identifier: Apache-2.0
"""The same cost seen by other instruments: of each arm the mean and the spread, side by side."""

from collections.abc import Callable, Sequence
from typing import Any

from testbed.analysis.conclusions import sentences
from testbed.analysis.conclusions.grouping import grouped
from testbed.analysis.findings import Finding
from testbed.analysis.findings.finding import gravest, mpstat_marks
from testbed.analysis.measures.cost_names import cost_unit
from testbed.analysis.measures.other_instruments import Readings, readings_of
from testbed.analysis.reading.records import Run
from testbed.analysis.statistics.intervals import coefficient_of_variation

MPSTAT_HEAD = "mpstat busy, % of one CPU"
COLUMNS: tuple[tuple[str, Callable[[Readings], float | None]], ...] = (
    ("From idle time, {unit} per packet", lambda r: r.cost_us),
    ("Host’s virtual CPUs, CPU-µs of the host per packet", lambda r: r.vcpu_us),
    (MPSTAT_HEAD, lambda r: r.mpstat_busy_pct),
    ("NET_RX softirqs per received packet", lambda r: r.net_rx_per_packet),
    ("Packets per NIC interrupt", lambda r: r.packets_per_interrupt),
)


def instrument_table(run: Run, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """The template's variables: `heads`, and `rows` with a mean and a spread for each of them;
    mpstat's has a mark where the checks say something against it."""
    rows = []
    for arm in run.ordered_arms:
        readings = [readings_of(trial) for trial in run.trials_of(arm.name)]
        cells = [_cell([look(one) for one in readings]) for _, look in COLUMNS]
        marks = mpstat_marks(findings, arm.name)
        if marks:
            verdict = gravest(mark.verdict for mark in marks)
            cells[[head for head, _ in COLUMNS].index(MPSTAT_HEAD)]["mark"] = verdict.value
        rows.append({"arm": arm, "cells": cells})
    unit = cost_unit(run)
    return {"heads": [head.format(unit=unit) for head, _ in COLUMNS], "rows": rows}


def _cell(values: Sequence[float | None]) -> dict[str, str]:
    """Over the trials that have the number."""
    known = [value for value in values if value is not None]
    spread = coefficient_of_variation(known)
    return {
        "mean": sentences.mean_text(known),
        "mark": "",
        "spread": "" if spread is None else f"± {sentences.spread_text(spread)} %",
    }


def badges(run: Run, findings: tuple[Finding, ...]) -> dict[str, list[dict[str, str]]]:
    """What the checks say against mpstat itself, by arm: it marks the arm's chart."""
    return {
        arm.name: [
            {"verdict": group.verdict.value, "line": line}
            for group in grouped(run, mpstat_marks(findings, arm.name))
            for line in group.lines
        ]
        for arm in run.arms
    }
