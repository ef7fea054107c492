# SPDX-License-Identifier: Apache-2.0
"""The checks: pure functions of a run that say whether its numbers mean what they seem to.

A new check is a function Run → findings and one `Check` entry in a module here, and its code's
place in ORDER; the report, findings.json and the verdict on the run follow from CHECKS.
"""

from testbed.analysis.findings.arrival import ARRIVAL_CHECKS, DELIVERED_INVALID
from testbed.analysis.findings.batch import BATCH_CHECKS
from testbed.analysis.findings.clock import CLOCK_CHECKS
from testbed.analysis.findings.contention import CONTENTION_CHECKS
from testbed.analysis.findings.finding import (
    Check,
    Evidence,
    Finding,
    Scope,
    Verdict,
    about_comparison,
    instrument_marks,
    worst,
)
from testbed.analysis.findings.gate import GATE_CHECKS
from testbed.analysis.findings.generator import GENERATOR_CHECKS
from testbed.analysis.findings.hook import HOOK_CHECKS
from testbed.analysis.findings.instruments import INSTRUMENTS_CHECKS
from testbed.analysis.findings.ledger import LEDGER_CHECKS
from testbed.analysis.findings.loss import counted
from testbed.analysis.findings.machine import MACHINE_CHECKS
from testbed.analysis.findings.memory import MEMORY_CHECKS
from testbed.analysis.findings.mode import MODE_CHECKS
from testbed.analysis.findings.mpstat import MPSTAT_CHECKS
from testbed.analysis.findings.order import ORDER_CHECKS
from testbed.analysis.findings.own_packets import OWN_PACKETS_CHECKS
from testbed.analysis.findings.programs import PROGRAM_CHECKS
from testbed.analysis.findings.windows import WINDOW_CHECKS
from testbed.analysis.reading.records import Run

ORDER = (
    "complete", "edited", "delivery", "ledger", "checksum", "same-work", "sample", "hits", "mode",
    "logging", "exhibit", "baseline", "closure", "ticks", "lock", "window", "cost", "floor",
    "quiet", "contention", "generator", "receiver", "device", "merging", "batch", "state", "memory",
    "interleaved", "replication", "aa", "instruments", "clock",
)  # fmt: skip
CHECKS: tuple[Check, ...] = tuple(
    sorted(
        (
            *ARRIVAL_CHECKS,
            *LEDGER_CHECKS,
            *GATE_CHECKS,
            *OWN_PACKETS_CHECKS,
            *HOOK_CHECKS,
            *MODE_CHECKS,
            *MPSTAT_CHECKS,
            *WINDOW_CHECKS,
            *CONTENTION_CHECKS,
            *GENERATOR_CHECKS,
            *PROGRAM_CHECKS,
            *BATCH_CHECKS,
            *MACHINE_CHECKS,
            *MEMORY_CHECKS,
            *INSTRUMENTS_CHECKS,
            *ORDER_CHECKS,
            *CLOCK_CHECKS,
        ),
        key=lambda check: ORDER.index(check.code),
    )
)

__all__ = [
    "CHECKS",
    "DELIVERED_INVALID",
    "ORDER",
    "Check",
    "Evidence",
    "Finding",
    "Scope",
    "Verdict",
    "about_comparison",
    "check_run",
    "counted",
    "instrument_marks",
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
