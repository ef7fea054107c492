# SPDX-License-Identifier: Apache-2.0
"""A finding: a verdict, on one subject, with its evidence and the next step."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from testbed.analysis.reading.records import Run, Trial

COMPARISON, MPSTAT = "comparison", "mpstat"
"""The subject of a finding: whether arms may be compared, or only mpstat's chart."""

NOT_RECORDED = "not recorded"
"""The cause of every finding about what nobody wrote down."""


class Verdict(Enum):
    """VALID: holds. SUSPECT: comparisons are printed with a banner. INVALID: none is printed."""

    VALID = "VALID"
    SUSPECT = "SUSPECT"
    INVALID = "INVALID"

    @property
    def severity(self) -> int:
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The whole run (no arm), an arm (no block), or one trial."""

    arm: str | None = None
    block: int | None = None

    @property
    def kind(self) -> str:
        if self.arm is None:
            return "run"
        return "arm" if self.block is None else "trial"

    def finding(
        self,
        code: str,
        verdict: "Verdict",
        statement: str,
        *evidence: "Evidence",
        advice: str = "",
        degree: float = 0.0,
        about: str = COMPARISON,
        cause: str = "",
    ) -> "Finding":
        """A check that looks at one run, arm or trial and makes its findings."""
        return Finding(
            code=code,
            verdict=verdict,
            scope=self,
            statement=statement,
            evidence=evidence,
            advice=advice,
            degree=degree,
            about=about,
            cause=cause,
        )

    def unknown(self, code: str, what: str, *, about: str = COMPARISON) -> "Finding":
        """Return the finding on a missing record (SUSPECT); `what` is a noun with its article."""
        return self.finding(
            code,
            Verdict.SUSPECT,
            f"not recorded: {what}",
            Evidence(quantity=what, observed=None),
            advice="Without this the check cannot speak; run the bench again.",
            about=about,
            cause=NOT_RECORDED,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One observed quantity beside the bound it was held against; `observed` None: unknown."""

    quantity: str
    observed: float | int | str | None
    unit: str = ""
    bound: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One outcome of one check. `statement` is a short sentence without the arm's name."""

    code: str
    verdict: Verdict
    scope: Scope
    statement: str
    evidence: tuple[Evidence, ...] = ()
    advice: str = ""
    degree: float = 0.0
    """How bad, to name the worst among findings of one check; 0: they differ in kind."""
    about: str = COMPARISON
    """COMPARISON, or MPSTAT: it marks the arm's chart, and no comparison rests on that."""
    cause: str = ""
    """Findings of one check with one cause are one matter with one remedy: a page says them
    together. A check that can find several matters gives each a word of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A pure function of a run, with what it looks at, why, its threshold and its source.

    `look` returns only what is wrong or unknown; silence means that the check holds.
    """

    code: str
    what: str
    why: str
    threshold: str
    source: str
    look: Callable[[Run], list[Finding]]


WHOLE_RUN = Scope()


def of(trial: Trial) -> Scope:
    return Scope(arm=trial.arm, block=trial.block)


def of_arm(name: str) -> Scope:
    return Scope(arm=name)


def graded(value: float, suspect: float, invalid: float) -> Verdict:
    """By how far a value that should be small is above its two bounds."""
    if value > invalid:
        return Verdict.INVALID
    return Verdict.SUSPECT if value > suspect else Verdict.VALID


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    return max(verdicts, key=lambda v: v.severity, default=Verdict.VALID)


def about_comparison(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.about == COMPARISON)


def instrument_marks(findings: Iterable[Finding], name: str, arm: str) -> tuple[Finding, ...]:
    """Why an instrument's numbers of an arm are to be read with care, or not to be quoted."""
    return tuple(
        finding
        for finding in findings
        if finding.about == name
        and finding.verdict is not Verdict.VALID
        and finding.scope.arm in (None, arm)
    )


def worst(findings: Iterable[Finding]) -> Verdict:
    """The gravest verdict on the comparison; what is about mpstat's chart does not count."""
    return gravest(finding.verdict for finding in about_comparison(findings))
