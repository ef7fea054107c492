# SPDX-License-Identifier: Apache-2.0
"""How much a number of blocks can tell: interval widths, and effects that would be seen.

Everything here asks about the width of the interval, and about what other blocks would give;
whether a difference is there is for `comparison` to say.

The smallest effect that is found (minimum detectable effect): with a true difference δ of the log
costs, T = mean d / (sd/√n) has the noncentral t distribution with n-1 degrees of freedom and the
noncentrality nc = δ√n/sd. A two-sided test finds the difference with the probability

    power(nc) = P(T > t(n-1, 0.975)) + P(T < -t(n-1, 0.975)),

which is solved for nc exactly; δ = nc·sd/√n, and the effect is exp(δ) - 1. The usual sum of two
quantiles, t(n-1, 0.975) + t(n-1, 0.8), in place of nc is too small by 14 % at two blocks, by 5 %
at three, and by 1 % at five. Source: D. B. Owen, A survey of properties and applications of the
noncentral t-distribution, Technometrics 10 (1968).
"""

from collections.abc import Sequence
from functools import lru_cache
from math import expm1, log, log1p, sqrt

from testbed.analysis.statistics.intervals import CONFIDENCE, LARGEST_LOG, Ratio, student_t

POWER = 0.8
"""The probability with which the minimum detectable effect is found, and with which the blocks that
a page names settle a question: four runs of five."""

MOST_TO_SETTLE = 1_000
"""Beyond it, no number of blocks is named: hours, in which the machine does not stay as it is."""


def half_width(ratio: Ratio) -> float | None:
    """Half the interval's width on the logarithms, as a relative number: exp(half) - 1.

    0.05 when the interval reaches from the ratio/1.05 to the ratio·1.05.
    """
    if ratio.low is None or ratio.high is None:
        return None
    return expm1((log(ratio.high) - log(ratio.low)) / 2)


def precise_enough(ratios: Sequence[Ratio | None], target: float) -> bool:
    """Is every half-width known and at most `target` (0.05 is 5 %)? False of no ratio.

    It does not look at where an interval lies, only at how wide it is.
    """
    widths = [None if ratio is None else half_width(ratio) for ratio in ratios]
    return bool(widths) and all(width is not None and width <= target for width in widths)


def minimum_detectable_effect(
    sd_log: float, blocks: int, power: float = POWER, confidence: float = CONFIDENCE
) -> float | None:
    """The smallest true effect that a two-sided paired t test finds with this power.

    `sd_log` is the standard deviation of the paired log differences. The result is a share of the
    cheaper arm's cost, 0.07 is 7 %. None below two blocks, or when it is too large for a number.
    It takes the SD for known; one from five blocks is itself uncertain (95 % interval: 0.6 to
    2.9 times), so two digits of the result are plenty.
    """
    if blocks < 2 or not 0 <= sd_log <= LARGEST_LOG:
        return None
    effect_log = _noncentrality(blocks, power, confidence) * sd_log / sqrt(blocks)
    return expm1(effect_log) if effect_log <= LARGEST_LOG else None


def blocks_to_settle(
    ratio: Ratio, smallest_effect: float, confidence: float = CONFIDENCE
) -> int | None:
    """The number of blocks, all told (or of boots, where the interval is theirs), with which a new
    run would settle the ratio in four runs of five if the mean and the SD of its log differences
    are what they were here: its interval then leaves out 1, or lies within the smallest effect.
    Not fewer than the ratio's own number. None above 1,000, or without an SD.

    It is an estimate, not a promise: mean and SD come from few blocks. (The number at which *this*
    mean and SD would be settled is a coin toss: a new run's mean lies on either side of it.)
    """
    if ratio.sd_log is None or ratio.sd_log > LARGEST_LOG:
        return None
    mean_log, sd_log = log(ratio.ratio), ratio.sd_log

    def enough(blocks: int) -> bool:
        return settled_share(mean_log, sd_log, blocks, smallest_effect, confidence) >= POWER

    above = max(2, ratio.units)
    if enough(above):
        return above
    below = above
    while not enough(above):
        if above >= MOST_TO_SETTLE:
            return None
        below, above = above, min(2 * above, MOST_TO_SETTLE)
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if enough(middle) else (middle, above)
    return above


def settled_share(
    mean_log: float,
    sd_log: float,
    blocks: int,
    smallest_effect: float,
    confidence: float = CONFIDENCE,
) -> float:
    """The share of runs of so many blocks that are settled, where mean and SD are the true ones.

    The mean of n differences is normal and independent of their SD, whose square has a χ²
    distribution. For each of 400 equally probable SDs the interval's half-width h is known, and the
    run is settled when its mean lies beyond ±h, or within ±(log(1 + smallest effect) - h).
    """
    import numpy as np
    from scipy.special import chdtri, ndtr

    if sd_log <= 0:
        return 1.0 if mean_log else float(smallest_effect >= 0)
    probable = (np.arange(400) + 0.5) / 400
    error = sd_log / sqrt(blocks)
    spread = np.sqrt(chdtri(blocks - 1, probable) / (blocks - 1))  # of the SD around the true one
    half = student_t(blocks - 1, confidence) * error * spread
    beyond = ndtr((mean_log - half) / error) + ndtr((-mean_log - half) / error)
    inner = np.clip(np.minimum(half, log1p(smallest_effect) - half), 0, None)
    within = ndtr((inner - mean_log) / error) - ndtr((-inner - mean_log) / error)
    return float(np.mean(beyond + within))


@lru_cache(maxsize=256)
def _noncentrality(blocks: int, power: float, confidence: float) -> float:
    """The nc at which the test's power is `power`, by bisection; power(0) is 1 - confidence."""
    if not 1 - confidence < power < 1:
        raise ValueError(f"power must lie between {1 - confidence:.3g} and 1, not be {power}")
    above = 1.0
    while _power(above, blocks, confidence) < power:
        above += 1.0  # no doubling: far out in its tail nctdtr gives NaN
    below = above - 1.0
    for _ in range(60):
        middle = (below + above) / 2
        if _power(middle, blocks, confidence) < power:
            below = middle
        else:
            above = middle
    return above


def _power(noncentrality: float, blocks: int, confidence: float) -> float:
    """Found with the right sign, or with the wrong one. The latter's share is below Φ(-nc): beyond
    nc = 6 that is 1e-9, and left out, since nctdtr gives NaN there (scipy 1.17, one degree)."""
    from scipy.special import nctdtr

    threshold = student_t(blocks - 1, confidence)
    found = 1 - float(nctdtr(blocks - 1, noncentrality, threshold))
    if noncentrality > 6:
        return found
    return found + 1 - float(nctdtr(blocks - 1, -noncentrality, threshold))
