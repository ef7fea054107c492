# SPDX-License-Identifier: Apache-2.0
"""The same cost seen by other instruments: of each arm the mean and the spread, side by side."""

from collections.abc import Sequence
from typing import Any

from testbed.analysis.conclusions import sentences
from testbed.analysis.conclusions.grouping import grouped
from testbed.analysis.findings import Finding
from testbed.analysis.findings.finding import MPSTAT, gravest, instrument_marks
from testbed.analysis.instruments import INSTRUMENTS
from testbed.analysis.measures.cost_names import cost_unit
from testbed.analysis.reading.records import Run
from testbed.analysis.statistics.intervals import coefficient_of_variation


def instrument_table(run: Run, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Return the template's variables: `heads`, and `rows` with a mean and a spread for each.

    A cell has a mark where the checks say something against its instrument.
    """
    rows = [
        {"arm": arm, "cells": [
            _cell([one.read(trial) for trial in run.trials_of(arm.name)],
                  instrument_marks(findings, one.name, arm.name))
            for one in INSTRUMENTS
        ]}
        for arm in run.ordered_arms
    ]  # fmt: skip
    unit = cost_unit(run)
    return {"heads": [one.heading.format(unit=unit) for one in INSTRUMENTS], "rows": rows}


def _cell(values: Sequence[float | None], marks: Sequence[Finding]) -> dict[str, str]:
    """Over the trials that have the number."""
    known = [value for value in values if value is not None]
    spread = coefficient_of_variation(known)
    return {
        "mean": sentences.mean_text(known),
        "mark": gravest(mark.verdict for mark in marks).value if marks else "",
        "spread": "" if spread is None else f"± {sentences.spread_text(spread)} %",
    }


def badges(run: Run, findings: tuple[Finding, ...]) -> dict[str, list[dict[str, str]]]:
    """Return the findings against mpstat itself, by arm: they mark the arm's chart."""
    return {
        arm.name: [
            {"verdict": group.verdict.value, "line": line}
            for group in grouped(run, instrument_marks(findings, MPSTAT, arm.name))
            for line in group.lines
        ]
        for arm in run.arms
    }
