# SPDX-License-Identifier: Apache-2.0
"""Findings for people: causes before their consequences, and each matter said once.

What says the same of many trials and arms is one line, with the trials named. A finding that is
only doubtful is left out where the same matter already rules out the same arm.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from testbed.analysis.findings import Finding, Verdict
from testbed.analysis.reading.records import Run

CAUSES_FIRST = (
    "complete", "edited", "exhibit", "same-work", "sample", "checksum", "hits", "mode", "logging",
    "memory", "instruments", "state", "clock", "quiet", "contention", "generator", "device",
    "receiver",
    "delivery", "ledger", "merging", "window", "batch", "floor", "cost", "interleaved",
    "baseline", "replication", "aa", "closure", "ticks", "lock",
)  # fmt: skip
"""The checks' codes: what was measured, the machines it was measured on, the load they carried,
what became of the packets, and what all that does to the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A whole statement that says who and where; `brief` names the worst one alone."""

    text: str
    brief: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One matter that a check found."""

    code: str
    verdict: Verdict
    said: tuple[Line, ...]
    advice: str

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(line.text for line in self.said)

    @property
    def sentence(self) -> str:
        """All of it as one bullet."""
        return " ".join(f"{line.brief}." for line in self.said)


def grouped(run: Run, findings: tuple[Finding, ...]) -> tuple[Group, ...]:
    """All but the VALID ones, the gravest first, causes before consequences."""
    groups: dict[tuple[Verdict, str, str], list[Finding]] = {}
    for finding in without_twins(findings):
        key = (finding.verdict, finding.code, finding.cause)
        groups.setdefault(key, []).append(finding)
    ranked = sorted(groups.items(), key=lambda item: (-item[0][0].severity, rank(item[0][1])))
    return tuple(
        Group(code=code, verdict=verdict, said=_lines(run, found), advice=_advice(found))
        for (verdict, code, _), found in ranked
    )


def rank(code: str) -> int:
    """The place of a check among causes and consequences; one that has none comes last."""
    return CAUSES_FIRST.index(code) if code in CAUSES_FIRST else len(CAUSES_FIRST)


def without_twins(findings: Iterable[Finding]) -> list[Finding]:
    """Those that say something is wrong; of one matter and one arm only the INVALID ones. What is
    SUSPECT of the run as a whole goes, too, where the same matter is INVALID of any arm."""
    wrong = [finding for finding in findings if finding.verdict is not Verdict.VALID]
    grave: dict[tuple[str, str], set[str | None]] = {}
    for finding in wrong:
        if finding.verdict is Verdict.INVALID:
            key = (finding.code, finding.cause)
            grave.setdefault(key, set()).update((finding.scope.arm, None))
    return [
        finding
        for finding in wrong
        if finding.verdict is Verdict.INVALID
        or finding.scope.arm not in grave.get((finding.code, finding.cause), ())
    ]


def _advice(findings: list[Finding]) -> str:
    return " ".join(dict.fromkeys(finding.advice for finding in findings if finding.advice))


def _lines(run: Run, findings: list[Finding]) -> tuple[Line, ...]:
    of_arms = [finding for finding in findings if finding.scope.arm is not None]
    of_run = (
        Line(text=f"The run: {said}", brief=f"{said[:1].upper()}{said[1:]}")
        for said in (finding.statement for finding in findings if finding.scope.arm is None)
    )
    return (*_lines_of_arms(run, of_arms), *of_run)


def _lines_of_arms(run: Run, findings: list[Finding]) -> list[Line]:
    """One line a statement; statements that differ in degree only are one line, with the worst."""
    alike: dict[str, list[Finding]] = {}
    for finding in findings:
        alike.setdefault(finding.statement, []).append(finding)
    of_trials = all(finding.scope.block is not None for finding in findings)
    if len(alike) > 1 and of_trials and all(finding.degree for finding in findings):
        worst = max(findings, key=lambda finding: finding.degree)
        title, trial = run.arm(worst.scope.arm or "").title, f"trial {worst.scope.block}"
        is_one = len({finding.scope.arm for finding in findings}) == 1
        named = trial if is_one else f"{title}, {trial}"
        text = f"{_who(run, findings)}; the worst, {named}: {worst.statement}"
        where = f"In {len(findings)} of {len(run.trials)} trials, the worst {title}, {trial}"
        return [Line(text=text, brief=f"{where}: {worst.statement}")]
    lines = [f"{_who(run, found)}: {statement}" for statement, found in alike.items()]
    return [Line(text=line, brief=line) for line in lines]


def _who(run: Run, findings: list[Finding]) -> str:
    """ "No hook, trial 3", "No hook, 3 of 5 trials (1, 2, 5)", "all 15 trials", or several arms."""
    trials: dict[str, list[int]] = {}
    for finding in findings:
        known = trials.setdefault(finding.scope.arm or "", [])
        if finding.scope.block is not None:
            known.append(finding.scope.block)
    planned = {arm: len(run.trials_of(arm)) for arm in trials}
    whole = all(len(set(blocks)) == planned[arm] for arm, blocks in trials.items())
    if whole and len(trials) == len(run.arms) and len(trials) > 2:
        return f"All arms, all {sum(planned.values())} trials"
    return "; ".join(_arm(run, arm, sorted(set(found))) for arm, found in trials.items())


def _arm(run: Run, arm: str, blocks: list[int]) -> str:
    title, planned = run.arm(arm).title, len(run.trials_of(arm))
    if not blocks:
        return title
    if len(blocks) == 1:
        return f"{title}, trial {blocks[0]}"
    if len(blocks) == planned:
        return f"{title}, all {planned} trials"
    return f"{title}, {len(blocks)} of {planned} trials ({', '.join(map(str, blocks))})"
