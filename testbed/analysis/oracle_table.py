# SPDX-License-Identifier: Apache-2.0
"""Did the arms do the same work: the gate's matrix, as the pages print it."""

from typing import Any

from testbed.analysis.oracle_matrix import matrix
from testbed.analysis.plots.comparison import ordered
from testbed.analysis.records import Run


def oracle_table(run: Run) -> dict[str, Any]:
    """The template's variables: `arms` that were put through the gate, `rows`, and who was not."""
    arms = [arm for arm in ordered(run) if arm.name in run.oracle]
    outcomes = {arm.name: run.oracle[arm.name] for arm in arms}
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
        "missing": [arm.title for arm in ordered(run) if arm.name not in run.oracle],
    }
