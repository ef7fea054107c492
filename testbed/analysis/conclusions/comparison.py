# SPDX-License-Identifier: Apache-2.0
"""Which arms may be compared, their ratios, and the verdict in the six allowed words.

An arm with any INVALID finding, its own or one of its trials', is in no comparison. An INVALID
finding on the run, or an arm that lost packets (delivery), allows none at all: in an interleaved
run the loss may have touched its neighbours too. Two hooks are compared when they do the same
kind of work (semantic class); any arm may be set against the arm without a hook.

Controls are no answers. An arm measured "again" under a second name is set against itself alone
(the A/A pair). The pair shows this machine's noise, so its SD gives the smallest effect that each
comparison could have found. A hook that is attached but matches nothing ("unmatched") is set
against no hook alone.

Two arms that were sent at different rates have no ratio where the rates alone would make half of
the smallest effect: that is "no answer". Several comparisons of hooks are judged together (Holm).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, log

from testbed.analysis.findings import Finding, Verdict, about_comparison
from testbed.analysis.measures.cost import costs_by_block
from testbed.analysis.measures.pairs import all_pairs
from testbed.analysis.measures.rates import cost_follows_rate, rates_apart
from testbed.analysis.reading.records import Arm, Run
from testbed.analysis.statistics.intervals import (
    CONFIDENCE,
    SMALLEST_EFFECT,
    Ratio,
    is_settled,
    largest_difference,
    paired_ratio,
    t_interval,
)
from testbed.analysis.statistics.multiplicity import confidences
from testbed.analysis.statistics.precision import blocks_to_settle, minimum_detectable_effect

NO_ANSWER = "no answer"
"""The verdict on two arms that were not sent the same load."""
NO_DIFFERENCE = "no difference larger than "
"""How the verdict of two like costs begins; the bound follows."""
AA_PAIR = "A/A pair"
OBSERVED = "observed spread"

_Judged = tuple[tuple[Arm, Arm], Ratio | None, tuple[float, float] | None]
"""(reference, arm), their ratio, and their rates where these forbid one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The cost of `arm` over the cost of `reference`. `ratio` is None when it is invalid, and when
    it is withheld: then `rates` says how fast each of them was sent."""

    arm: str
    reference: str
    ratio: Ratio | None
    verdict: str
    suspect: bool
    is_headline: bool
    """Between two hooks, not against the arm without one, and not a control."""
    control_kind: str = ""
    """"again", "unmatched", or "" of an answer."""
    mde: float | None = None
    """The smallest effect that this many blocks find in four runs of five: 0.07 is 7 %."""
    mde_source: str = ""
    """The source of the SD: AA_PAIR, OBSERVED (this comparison's own), or "" without an `mde`."""
    blocks_to_settle: int | None = None
    """For an inconclusive ratio; None when more than 1,000, or when there is nothing to settle."""

    rates: tuple[float, float] | None = None
    """Packets/s of `arm` and `reference`, where they are too far apart for a ratio."""
    family: int = 1
    """How many comparisons are judged together with this one, itself included."""

    @property
    def is_control(self) -> bool:
        return bool(self.control_kind)


def excluded_arms(run: Run, findings: tuple[Finding, ...]) -> dict[str, tuple[str, ...]]:
    """The codes of the INVALID findings of every arm that has one."""
    codes: dict[str, list[str]] = {}
    for finding in about_comparison(findings):
        if finding.verdict is Verdict.INVALID and finding.scope.arm is not None:
            listed = codes.setdefault(finding.scope.arm, [])
            if finding.code not in listed:
                listed.append(finding.code)
    return {arm.name: tuple(codes[arm.name]) for arm in run.arms if arm.name in codes}


def voiding(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The codes of the findings that allow no comparison at all: INVALID of the run as a whole,
    or packets lost."""
    return tuple(
        dict.fromkeys(
            f.code
            for f in about_comparison(findings)
            if f.verdict is Verdict.INVALID and (f.scope.arm is None or f.code == "delivery")
        )
    )


def compare(run: Run, findings: tuple[Finding, ...]) -> tuple[Comparison, ...]:
    """Hook against hook first, then every hook against no hook. Empty when the run is void."""
    findings = about_comparison(findings)
    if voiding(findings):
        return ()
    excluded = excluded_arms(run, findings)
    costs = {arm.name: costs_by_block(run, arm.name) for arm in run.arms}
    suspects = {f.scope.arm for f in findings if f.verdict is Verdict.SUSPECT}
    follows = cost_follows_rate(run)
    pairs: list[_Judged] = []
    for pair in all_pairs(run.arms):
        void = bool(excluded.keys() & {arm.name for arm in pair})
        rates = None if void else rates_apart(run, pair, follows)
        ratio = None if void or rates else _ratio(pair, costs, run.boot_by_block)
        pairs.append((pair, ratio, rates))
    noise = next((r.sd_log for (_, arm), r, _ in pairs if arm.control_kind == "again" and r), None)
    together = _judged_together(pairs)
    compared = []
    for (reference, arm), ratio, rates in pairs:
        mde, source = _detectable(ratio, noise)
        family = together.get((reference.name, arm.name))
        confidence = CONFIDENCE if family is None else family
        verdict = NO_ANSWER if rates else verdict_on(ratio, confidence)
        is_open = verdict == "inconclusive"
        count = len(together) if family is not None else 1
        compared.append(
            Comparison(
                arm=arm.name,
                reference=reference.name,
                ratio=ratio,
                verdict=verdict,
                suspect=bool(suspects & {arm.name, reference.name, None}),
                is_headline=_is_headline(reference, arm),
                control_kind=arm.control_kind,
                mde=mde,
                mde_source=source,
                blocks_to_settle=_more_blocks(ratio, count) if is_open else None,
                rates=rates,
                family=count,
            )
        )
    return tuple(compared)


def refused(run: Run, findings: tuple[Finding, ...]) -> tuple[Comparison, ...]:
    """Every comparison that a void run would have made: "invalid", and without a ratio.

    Empty when the run is not void: `compare` then has them all.
    """
    if not voiding(findings):
        return ()
    return tuple(
        Comparison(
            arm=arm.name,
            reference=reference.name,
            ratio=None,
            verdict=verdict_on(None),
            suspect=False,
            is_headline=_is_headline(reference, arm),
            control_kind=arm.control_kind,
        )
        for reference, arm in all_pairs(run.arms)
    )


def _is_headline(reference: Arm, arm: Arm) -> bool:
    return not (reference.is_baseline or arm.control_kind)


def _judged_together(
    pairs: list[_Judged],
) -> dict[tuple[str, str], float]:
    """The confidence that each comparison of two hooks is judged at, by the arms' names."""
    family = [(pair, ratio) for pair, ratio, _ in pairs if ratio and _is_headline(*pair)]
    levels = confidences([ratio for _, ratio in family], SMALLEST_EFFECT)
    return {
        (reference.name, arm.name): level
        for ((reference, arm), _), level in zip(family, levels, strict=True)
    }


def verdict_on(ratio: Ratio | None, confidence: float = CONFIDENCE) -> str:
    """An interval within 5 % of 1 is "no difference larger than x %", x its farther end, rounded
    up; otherwise one that leaves out 1 is "lower" or "higher"; otherwise it is inconclusive.
    So is one block: it has no interval."""
    if ratio is None:
        return "invalid"
    low, high = ratio.low, ratio.high
    if confidence != CONFIDENCE and ratio.sd_log is not None:
        low, high = t_interval(log(ratio.ratio), ratio.sd_log, ratio.units, confidence)
    if low is None or high is None or not is_settled(low, high, SMALLEST_EFFECT):
        return "inconclusive"
    largest = largest_difference(low, high)
    if largest <= SMALLEST_EFFECT:
        return f"{NO_DIFFERENCE}{max(1, ceil(round(largest * 100, 6)))} %"
    return "lower" if high < 1 else "higher"


def _ratio(
    pair: tuple[Arm, Arm], costs: dict[str, dict[int, float]], boots: Mapping[int, int]
) -> Ratio | None:
    reference, arm = pair
    return paired_ratio(costs[arm.name], costs[reference.name], boots)


def _more_blocks(ratio: Ratio | None, family: int) -> int | None:
    """For the strictest step, which a comparison among several may have to pass."""
    confidence = 1 - (1 - CONFIDENCE) / family
    return None if ratio is None else blocks_to_settle(ratio, SMALLEST_EFFECT, confidence)


def _detectable(ratio: Ratio | None, noise: float | None) -> tuple[float | None, str]:
    """The minimum detectable effect and its source: the A/A pair's SD where there is one, for it
    holds nothing but noise; otherwise the comparison's own."""
    if ratio is None or ratio.sd_log is None:
        return None, ""
    sd_log, source = (ratio.sd_log, OBSERVED) if noise is None else (noise, AA_PAIR)
    mde = minimum_detectable_effect(sd_log, ratio.units)
    return (None, "") if mde is None else (mde, source)
