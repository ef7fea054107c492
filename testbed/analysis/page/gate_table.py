# SPDX-License-Identifier: Apache-2.0
"""Did the arms do the same work: the same-work gate's matrix, as the pages print it."""

from typing import Any

from testbed.analysis.gate.matrix import matrix
from testbed.analysis.reading.records import Run


def gate_table(run: Run) -> dict[str, Any]:
    """The template's variables: `arms` that were put through the gate, `rows`, and who was not."""
    arms = [arm for arm in run.ordered_arms if arm.name in run.gate]
    outcomes = {arm.name: run.gate[arm.name] for arm in arms}
    rows = matrix(outcomes) if outcomes else ()
    return {
        "arms": arms,
        "cases": max((len(outcome.cases) for outcome in outcomes.values()), default=0),
        "rows": [
            {
                "label": row.label,
                "cells": [
                    {"text": cell, "wrong": wrong}
                    for cell, wrong in zip(row.cells, row.wrong, strict=True)
                ],
            }
            for row in rows
        ],
        "missing": [arm.title for arm in run.ordered_arms if arm.name not in run.gate],
    }
