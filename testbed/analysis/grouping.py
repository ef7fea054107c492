# SPDX-License-Identifier: Apache-2.0
"""Findings for people: what says the same of many trials is said once, with the trials named."""

from dataclasses import dataclass

from testbed.analysis.findings import Finding, Verdict
from testbed.analysis.records import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one check found at one gravity; `lines` are whole statements that say who and where."""

    code: str
    verdict: Verdict
    lines: tuple[str, ...]
    advice: str


def grouped(run: Run, findings: tuple[Finding, ...]) -> tuple[Group, ...]:
    """All but the VALID ones, the gravest first, in the checks' order."""
    groups: dict[tuple[Verdict, str], list[Finding]] = {}
    for finding in findings:
        if finding.verdict is not Verdict.VALID:
            groups.setdefault((finding.verdict, finding.code), []).append(finding)
    ranked = sorted(groups.items(), key=lambda item: -item[0][0].severity)
    return tuple(
        Group(code=code, verdict=verdict, lines=_lines(run, found), advice=found[0].advice)
        for (verdict, code), found in ranked
    )


def _lines(run: Run, findings: list[Finding]) -> tuple[str, ...]:
    by_arm: dict[str | None, list[Finding]] = {}
    for finding in findings:
        by_arm.setdefault(finding.scope.arm, []).append(finding)
    lines: list[str] = []
    for arm, found in by_arm.items():
        if arm is None:
            lines += [f"The run: {finding.statement}" for finding in found]
        else:
            lines += _lines_of_arm(run, arm, found)
    return tuple(lines)


def _lines_of_arm(run: Run, arm: str, findings: list[Finding]) -> list[str]:
    """One line a statement; statements that differ in degree only are one line, with the worst."""
    alike: dict[str, list[Finding]] = {}
    for finding in findings:
        alike.setdefault(finding.statement, []).append(finding)
    title = run.arm(arm).title
    if len(alike) > 1 and all(finding.degree for finding in findings):
        worst = max(findings, key=lambda finding: finding.degree)
        where = _trials(run, arm, findings)
        return [f"{title}, {where}; the worst, trial {worst.scope.block}: {worst.statement}"]
    return [
        ", ".join(filter(None, (title, _trials(run, arm, found)))) + f": {statement}"
        for statement, found in alike.items()
    ]


def _trials(run: Run, arm: str, findings: list[Finding]) -> str:
    """ "trial 3", "3 of 5 trials (1, 2, 5)", "all 5 trials", or "" for the arm as such."""
    blocks = sorted({f.scope.block for f in findings if f.scope.block is not None})
    planned = len(run.trials_of(arm))
    if not blocks:
        return ""
    if len(blocks) == 1:
        return f"trial {blocks[0]}"
    if len(blocks) == planned:
        return f"all {planned} trials"
    return f"{len(blocks)} of {planned} trials ({', '.join(map(str, blocks))})"
