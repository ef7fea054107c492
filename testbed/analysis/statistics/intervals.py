# SPDX-License-Identifier: Apache-2.0
"""The statistics of the report: geometric means, and their ratio with a t interval.

Costs are positive and their spread is proportional, so logarithms are averaged. Trials of one
block ran within seconds of each other, so the ratio is taken inside blocks (paired):

    d_b = ln(cost of A in block b) - ln(cost of B in block b)
    ratio = exp(mean d),   interval = exp(mean d ± t(n-1, 0.975) · sd(d) / √n)

A difference counts the same in both directions: "5 %" is the dearer arm over the cheaper one,
less 1, so the bounds around 1 are 1/1.05 and 1.05, and swapping the arms changes no conclusion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import atan, cos, exp, fsum, inf, lgamma, log, pi, sin, sqrt, tan

CONFIDENCE = 0.95

SMALLEST_EFFECT = 0.05
"""The preset smallest effect of interest: 5 %."""

FEWEST_BOOTS = 3
"""For an interval between boots. Of two, with one degree of freedom, it is 4.5 times as wide as
the boots are apart."""

LARGEST_LOG = 300.0
"""Of a ratio (e^300 = 10^130): beyond it floats run out, and so does every meaning of a cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio of geometric means. `low` and `high`, the interval's ends, and `sd_log`, the sample
    standard deviation of the paired log differences, are None with fewer than two blocks."""

    ratio: float
    low: float | None
    high: float | None
    block_count: int
    sd_log: float | None = None
    boots: int = 1
    """Of the machines, over which the blocks went; from three on the interval is theirs, and
    `sd_log` the SD of the boots' means."""

    @property
    def is_of_boots(self) -> bool:
        return self.boots >= FEWEST_BOOTS

    @property
    def units(self) -> int:
        """What the interval counts: boots where these are enough, and blocks otherwise."""
        return self.boots if self.is_of_boots else self.block_count


def geometric_mean(values: Sequence[float]) -> float | None:
    """None of nothing, or when a value is not positive."""
    if not values or min(values) <= 0:
        return None
    return exp(sum(log(value) for value in values) / len(values))


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The ends of the 95 % t interval of the geometric mean; None below two values, of a value
    that is not positive, or when it is too wide for a number.

    It knows the trials of one arm alone: whether two arms differ is for `paired_ratio`.
    """
    if len(values) < 2 or min(values) <= 0:
        return None
    logs = [log(value) for value in values]
    mean = fsum(logs) / len(logs)
    low, high = t_interval(mean, _sd(logs, mean), len(logs))
    return None if low is None or high is None else (low, high)


def _sd(values: Sequence[float], mean: float) -> float:
    """The standard deviation of a sample of two values or more."""
    return sqrt(fsum((x - mean) ** 2 for x in values) / (len(values) - 1))


def coefficient_of_variation(values: Sequence[float]) -> float | None:
    """Sample standard deviation over the mean; None below two values."""
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    if mean <= 0:
        return None
    return sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) / mean


def paired_ratio(
    numerator: Mapping[int, float],
    denominator: Mapping[int, float],
    boots: Mapping[int, int] | None = None,
) -> Ratio | None:
    """Costs by block of two arms → their ratio over the blocks that have both.

    `boots` has the boot of each block. Of three boots or more the log differences are averaged
    within each, and the t interval is that of the boots' means, with one degree of freedom less
    than there are boots: blocks of one boot share what that boot is like.
    None when there is no such block, or a cost is not a positive number.
    """
    shared = sorted(numerator.keys() & denominator.keys())
    costs = [cost for block in shared for cost in (numerator[block], denominator[block])]
    if not shared or not all(0 < cost < inf for cost in costs):
        return None
    logs = {b: log(numerator[b]) - log(denominator[b]) for b in shared}
    groups: dict[int, list[float]] = {}
    for block, difference in logs.items():
        groups.setdefault((boots or {}).get(block, 0), []).append(difference)
    values = list(logs.values())
    if len(groups) >= FEWEST_BOOTS:
        values = [fsum(group) / len(group) for group in groups.values()]
    count, mean = len(values), fsum(values) / len(values)
    if abs(mean) > LARGEST_LOG:
        return None
    known = {"block_count": len(shared), "boots": len(groups)}
    if count < 2:
        return Ratio(ratio=exp(mean), low=None, high=None, **known)
    sd = _sd(values, mean)
    low, high = t_interval(mean, sd, count)
    return Ratio(ratio=exp(mean), low=low, high=high, sd_log=sd, **known)


def t_interval(
    mean_log: float, sd_log: float, blocks: int, confidence: float = CONFIDENCE
) -> tuple[float | None, float | None]:
    """The interval of a ratio from mean and SD of its log differences; two None below two
    blocks, or when it is too wide for a number."""
    if blocks < 2:
        return None, None
    half = student_t(blocks - 1, confidence) * sd_log / sqrt(blocks)
    if abs(mean_log) + half > LARGEST_LOG:
        return None, None
    return exp(mean_log - half), exp(mean_log + half)


def largest_difference(low: float, high: float) -> float:
    """How far an interval reaches from 1, the dearer arm over the cheaper one, less 1; rounded
    to a millionth of a per cent, so that 1.05 is 5 % although no float is 1.05."""
    return round(max(high, 1 / low) - 1, 8)


def is_settled(low: float, high: float, smallest_effect: float) -> bool:
    """Does the interval leave out 1, or lie between 1/(1 + smallest effect) and 1 + it?"""
    return high < 1 or low > 1 or largest_difference(low, high) <= smallest_effect


@lru_cache(maxsize=2048)
def student_t(degrees: int, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile: 2.776 at 4 degrees of freedom and 95 %.

    Newton's method on the angle whose tangent is t/√degrees. `_within` is concave in it, so the
    steps from 0 never pass the root. scipy.special would take longer to load than a run does.
    """
    slope = 2 / sqrt(pi) * exp(lgamma((degrees + 1) / 2) - lgamma(degrees / 2))
    angle, step = 0.0, 1.0
    while step > 1e-15:
        missing = confidence - _within(angle, degrees)
        step = missing / (slope * cos(angle) ** (degrees - 1))
        angle += step
    return sqrt(degrees) * tan(angle)


def p_value(t: float, degrees: int) -> float:
    """The two-sided probability of a t as far from 0 as this one, or farther, by chance."""
    return max(0.0, 1 - _within(atan(abs(t) / sqrt(degrees)), degrees))


def _within(angle: float, degrees: int) -> float:
    """How probable |t| <= √degrees · tan(angle) is (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    odd = degrees % 2
    total, term = 0.0, cos(angle) ** odd
    for exponent in range(odd, degrees - 1, 2):
        total += term
        term *= (exponent + 1) / (exponent + 2) * cos(angle) ** 2
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
