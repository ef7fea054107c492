# SPDX-License-Identifier: Apache-2.0
"""The checks: pure functions of a run that say whether its numbers mean what they seem to.

A new check is a function Run → findings and one `Check` entry in a module here; the report,
findings.json and the verdict on the run follow from CHECKS.
"""

from testbed.analysis.findings.arrival import ARRIVAL_CHECKS, DELIVERED_INVALID
from testbed.analysis.findings.finding import Check, Evidence, Finding, Scope, Verdict, worst
from testbed.analysis.findings.loss import counted
from testbed.analysis.findings.same_work import SAME_WORK_CHECKS
from testbed.analysis.records import Run

CHECKS: tuple[Check, ...] = (*ARRIVAL_CHECKS, *SAME_WORK_CHECKS)

__all__ = [
    "CHECKS",
    "DELIVERED_INVALID",
    "Check",
    "Evidence",
    "Finding",
    "Scope",
    "Verdict",
    "check_run",
    "counted",
    "worst",
]


def check_run(run: Run) -> tuple[Finding, ...]:
    """Every finding of every check, in the checks' order; a check that holds adds one VALID."""
    findings: list[Finding] = []
    for check in CHECKS:
        found = check.look(run)
        findings += found or [
            Finding(code=check.code, verdict=Verdict.VALID, scope=Scope(), statement="holds")
        ]
    return tuple(findings)
