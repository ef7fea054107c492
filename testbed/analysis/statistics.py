# SPDX-License-Identifier: Apache-2.0
"""The statistics of the report: geometric means, and their ratio with a t interval.

Costs are positive and their spread is proportional, so logarithms are averaged. Trials of one
block ran within seconds of each other, so the ratio is taken inside blocks (paired):

    d_b = ln(cost of A in block b) - ln(cost of B in block b)
    ratio = exp(mean d),   interval = exp(mean d ± t(n-1, 0.975) · sd(d) / √n)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio of geometric means; `low` and `high` are None with fewer than two blocks."""

    ratio: float
    low: float | None
    high: float | None
    block_count: int


def geometric_mean(values: Sequence[float]) -> float | None:
    """None of nothing, or when a value is not positive."""
    if not values or min(values) <= 0:
        return None
    return exp(sum(log(value) for value in values) / len(values))


def coefficient_of_variation(values: Sequence[float]) -> float | None:
    """Sample standard deviation over the mean; None below two values."""
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    if mean <= 0:
        return None
    return sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) / mean


def paired_ratio(numerator: Mapping[int, float], denominator: Mapping[int, float]) -> Ratio | None:
    """Costs by block of two arms → their ratio over the blocks that have both; None if none."""
    shared = sorted(numerator.keys() & denominator.keys())
    if not shared or any(numerator[b] <= 0 or denominator[b] <= 0 for b in shared):
        return None
    logs = [log(numerator[b]) - log(denominator[b]) for b in shared]
    count = len(logs)
    mean = sum(logs) / count
    if count < 2:
        return Ratio(ratio=exp(mean), low=None, high=None, block_count=count)
    sd = sqrt(sum((x - mean) ** 2 for x in logs) / (count - 1))
    half = student_t(count - 1) * sd / sqrt(count)
    return Ratio(ratio=exp(mean), low=exp(mean - half), high=exp(mean + half), block_count=count)


def student_t(degrees: int, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile: 2.776 at 4 degrees of freedom and 95 %."""
    from scipy.special import stdtrit  # loads in a tenth of the time of scipy.stats

    return float(stdtrit(degrees, (1 + confidence) / 2))
