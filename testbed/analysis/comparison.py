# SPDX-License-Identifier: Apache-2.0
"""Which arms may be compared, their ratios, and the verdict in the five allowed words.

An arm with any INVALID finding, its own or one of its trials', is in no comparison. An INVALID
finding on the run, or an arm that lost packets (delivery), allows none at all: in an interleaved
run the loss may have touched its neighbours too. Two hooks are compared when they do the same
kind of work (semantic class); any arm may be set against the arm without a hook.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import ceil

from testbed.analysis.cost import cost_of
from testbed.analysis.findings import Finding, Verdict
from testbed.analysis.records import Arm, Run
from testbed.analysis.statistics import Ratio, paired_ratio

SMALLEST_EFFECT = 0.05
"""The preset smallest effect of interest: 5 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The cost of `arm` over the cost of `reference`. `ratio` is None when it is invalid."""

    arm: str
    reference: str
    ratio: Ratio | None
    verdict: str
    suspect: bool
    is_headline: bool
    """Between two hooks, not against the arm without one."""


def excluded_arms(run: Run, findings: tuple[Finding, ...]) -> dict[str, tuple[str, ...]]:
    """The codes of the INVALID findings of every arm that has one."""
    codes: dict[str, list[str]] = {}
    for finding in findings:
        if finding.verdict is Verdict.INVALID and finding.scope.arm is not None:
            listed = codes.setdefault(finding.scope.arm, [])
            if finding.code not in listed:
                listed.append(finding.code)
    return {arm.name: tuple(codes[arm.name]) for arm in run.arms if arm.name in codes}


def compare(run: Run, findings: tuple[Finding, ...]) -> tuple[Comparison, ...]:
    """Hook against hook first, then every hook against no hook. Empty when the run is void."""
    if any(
        f.verdict is Verdict.INVALID and (f.scope.arm is None or f.code == "delivery")
        for f in findings
    ):
        return ()
    excluded = excluded_arms(run, findings)
    costs = {arm.name: costs_by_block(run, arm.name) for arm in run.arms}
    suspects = {f.scope.arm for f in findings if f.verdict is Verdict.SUSPECT}
    compared = []
    for reference, arm in _pairs(run.arms):
        valid = arm.name not in excluded and reference.name not in excluded
        ratio = paired_ratio(costs[arm.name], costs[reference.name]) if valid else None
        compared.append(
            Comparison(
                arm=arm.name,
                reference=reference.name,
                ratio=ratio,
                verdict=verdict_on(ratio),
                suspect=bool(suspects & {arm.name, reference.name, None}),
                is_headline=not reference.is_baseline,
            )
        )
    return tuple(compared)


def costs_by_block(run: Run, arm: str) -> dict[int, float]:
    return {
        trial.block: cost.cost_us
        for trial in run.trials_of(arm)
        if (cost := cost_of(trial)) is not None and cost.cost_us is not None
    }


def verdict_on(ratio: Ratio | None) -> str:
    """An interval inside ± 5 % is "no difference larger than x %", x its farther end, rounded
    up; otherwise one that leaves out 1 is "lower" or "higher"; otherwise it is inconclusive."""
    if ratio is None:
        return "invalid"
    if ratio.low is None or ratio.high is None:
        return "inconclusive"
    largest = max(1 - ratio.low, ratio.high - 1)
    if largest <= SMALLEST_EFFECT:
        percent = max(1, ceil(round(largest * 100, 6)))
        return f"no difference larger than {percent} %"
    if ratio.high < 1:
        return "lower"
    if ratio.low > 1:
        return "higher"
    return "inconclusive"


def _pairs(arms: tuple[Arm, ...]) -> Iterator[tuple[Arm, Arm]]:
    hooks = [arm for arm in arms if not arm.is_baseline]
    for reference, arm in combinations(hooks, 2):
        if arm.semantic_class == reference.semantic_class:
            yield reference, arm
    for reference in (arm for arm in arms if arm.is_baseline):
        for arm in hooks:
            yield reference, arm
