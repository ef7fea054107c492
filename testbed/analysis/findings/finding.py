# SPDX-License-Identifier: Apache-2.0
"""What a check says: a verdict, on what, with which evidence, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from testbed.analysis.records import Run, Trial


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


def of_trial(trial: Trial) -> Scope:
    return Scope(arm=trial.arm, block=trial.block)


def worst(findings: "list[Finding] | tuple[Finding, ...]") -> Verdict:
    return max((f.verdict for f in findings), key=lambda v: v.severity, default=Verdict.VALID)
