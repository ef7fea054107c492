# SPDX-License-Identifier: Apache-2.0
"""How fast packets were really sent, and what that does to a cost per packet.

A packet costs less at a higher rate: more of them share an interrupt and a softirq, and what the
server does anyway is spread over more. So two arms that were sent at different rates differ by
that, too. How much is taken from the run itself where its trials show it, and from calibration
runs otherwise.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import expm1, floor, fsum, log, log10, sqrt

from testbed.analysis.measures.cost import cost_of
from testbed.analysis.reading.records import Arm, Run
from testbed.analysis.statistics.intervals import SMALLEST_EFFECT, p_value

COST_PER_RATE = 0.5
"""Per cent of cost for each per cent of rate: emulated trials at 1,190 to 4,300 packets/s."""
BIAS_WITHHELD = SMALLEST_EFFECT / 2
"""A difference in rate that alone makes half of the smallest effect of interest is answered with
no ratio: at 0.5 % of cost for 1 % of rate, rates 5 % apart."""
SHOWS, EXPLAINED, SPREAD = 0.01, 0.5, 0.01
"""The cost follows the rate when that is no chance (p), explains this share of the costs' variance
within the arms, and the rates of an arm's trials lie this far apart: below, the slope is noise."""
STEADY, STEADIER = 0.6, 0.7
"""Of the slowest trial's rate where the load was not kept, and of a rate that was kept and filled
the host, as the warm-up lowers them (docs/measuring.md, The load)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependence:
    """`correlation` of the logarithms of cost and rate within the arms, over `trials`; `slope` is
    per cent of cost for each per cent of rate, negative when a slower packet costs more."""

    correlation: float
    slope: float
    trials: int


def mean_rate(run: Run, arm: str, blocks: Collection[int] | None = None) -> float | None:
    """Packets a second that an arm's trials were sent at, on average; None when not recorded."""
    known = [
        trial.client.achieved_pps
        for trial in run.trials_of(arm)
        if trial.client and trial.client.achieved_pps is not None
        if blocks is None or trial.block in blocks
    ]
    return sum(known) / len(known) if known else None


def bias(slow_pps: float, fast_pps: float, follows: Dependence | None = None) -> float:
    """By what share the slower one looks dearer for its rate alone: 0.05 is 5 %.

    The calibration's dependence, or the run's own where it is shown and stronger.
    """
    own = -follows.slope if follows else 0.0
    return expm1(max(COST_PER_RATE, own) * log(fast_pps / slow_pps))


def rates_apart(
    run: Run, pair: tuple[Arm, Arm], follows: Dependence | None
) -> tuple[float, float] | None:
    """The mean rates of (reference, arm), as (arm's, reference's), when what they alone make of
    the cost is more than half of the smallest effect of interest; None when not, or not known."""
    reference, arm = (mean_rate(run, one.name) for one in pair)
    if reference is None or arm is None or min(reference, arm) <= 0:
        return None
    apart = bias(min(reference, arm), max(reference, arm), follows) > BIAS_WITHHELD
    return (arm, reference) if apart else None


def cost_follows_rate(run: Run) -> Dependence | None:
    """Whether trials of one arm cost more the slower they were sent; None where it is not shown.

    Within the arms, because a dear hook may itself slow the client down.
    """
    groups = []
    for arm in run.arms:
        points = [
            (log(trial.client.achieved_pps), log(cost.cost_us))
            for trial in run.trials_of(arm.name)
            if trial.client and trial.client.achieved_pps and trial.client.achieved_pps > 0
            if (cost := cost_of(trial)) and cost.cost_us is not None and cost.cost_us > 0
        ]
        if len(points) > 1:
            groups.append(points)
    ranges = [max(x for x, _ in points) - min(x for x, _ in points) for points in groups]
    return _fitted(groups) if max(ranges, default=0.0) > SPREAD else None


def _fitted(groups: list[list[tuple[float, float]]]) -> Dependence | None:
    """The common slope of several groups of points, each around its own mean."""
    xx, xy, yy, count = 0.0, 0.0, 0.0, 0
    for points in groups:
        mean_x = fsum(x for x, _ in points) / len(points)
        mean_y = fsum(y for _, y in points) / len(points)
        xx += fsum((x - mean_x) ** 2 for x, _ in points)
        xy += fsum((x - mean_x) * (y - mean_y) for x, y in points)
        yy += fsum((y - mean_y) ** 2 for _, y in points)
        count += len(points)
    degrees = count - len(groups) - 1
    if degrees < 3 or xx <= 0 or yy <= 0:
        return None
    r = max(-1.0, min(1.0, xy / sqrt(xx * yy)))
    if r * r < EXPLAINED or (
        r * r < 1 and p_value(r * sqrt(degrees / (1 - r * r)), degrees) > SHOWS
    ):
        return None
    return Dependence(correlation=r, slope=xy / xx, trials=count)


def lower_rate(run: Run) -> int | None:
    """A rate to ask for next, to two digits: below the slowest trial's, or below one that was kept
    everywhere. None when no rate is known."""
    clients = [t.client for t in run.trials if t.client and t.client.achieved_pps]
    if not clients:
        return None
    asked = min(client.rate_pps for client in clients)
    slowest = min(client.achieved_pps or 0.0 for client in clients)
    value = STEADIER * asked if slowest >= 0.99 * asked else STEADY * slowest
    if value < 1:
        return None
    step = 10 ** max(0, floor(log10(value)) - 1)
    return int(value // step * step)
