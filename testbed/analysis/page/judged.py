# SPDX-License-Identifier: Apache-2.0
"""All that is concluded from a run, once, for everything that is rendered from it."""

from dataclasses import dataclass

from testbed.analysis.conclusions.comparison import Comparison, compare
from testbed.analysis.conclusions.opening import Opening, opening
from testbed.analysis.findings import Finding, check_run
from testbed.analysis.reading.records import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run, what the checks found, what may be compared, and what the page says first."""

    run: Run
    findings: tuple[Finding, ...]
    comparisons: tuple[Comparison, ...]
    opening: Opening


def judge(run: Run) -> Judged:
    """Check, then compare what may be compared, then say it."""
    findings = check_run(run)
    comparisons = compare(run, findings)
    said = opening(run, findings, comparisons)
    return Judged(run=run, findings=findings, comparisons=comparisons, opening=said)
