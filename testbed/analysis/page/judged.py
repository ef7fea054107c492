# SPDX-License-Identifier: Apache-2.0
"""All that is concluded from a run, once, for everything that is rendered from it."""

from dataclasses import dataclass

from testbed.analysis.conclusions.comparison import Comparison, compare
from testbed.analysis.conclusions.opening import Opening, opening
from testbed.analysis.findings import Finding, check_run
from testbed.analysis.page.both_answers import Both, both_answers
from testbed.analysis.reading.records import Run
from testbed.analysis.receipt.lane import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run, what the checks found, what may be compared, and what the page says first."""

    run: Run
    findings: tuple[Finding, ...]
    comparisons: tuple[Comparison, ...]
    opening: Opening
    lane: Lane | None = None
    """Its exact count, which none of the others knows of; None where the run has none."""

    @property
    def both(self) -> Both | None:
        """The two answers of a run that has a count."""
        if self.lane is None:
            return None
        return both_answers(self.run, self.comparisons, self.opening, self.lane)


def judge(run: Run, lane: Lane | None = None) -> Judged:
    """Check, then compare what may be compared, then say it."""
    findings = check_run(run)
    comparisons = compare(run, findings)
    said = opening(run, findings, comparisons)
    return Judged(run=run, findings=findings, comparisons=comparisons, opening=said, lane=lane)
