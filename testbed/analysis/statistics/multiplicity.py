# SPDX-License-Identifier: Apache-2.0
"""Several comparisons in one run: each is judged so that all of them hold together.

Of ten comparisons of an arm with itself, one comes out "lower" or "higher" in four runs of ten. S.
Holm (Scandinavian Journal of Statistics 6, 1979) keeps the probability of any wrong claim at 5 %:
with m comparisons, the one that is claimed most clearly has to hold at 5 %/m, the next at
5 %/(m - 1), and so on; after the first that does not hold, no further claim is made.
"""

from collections.abc import Sequence
from math import inf, log, log1p, sqrt

from testbed.analysis.statistics.intervals import CONFIDENCE, Ratio, p_value


def confidences(ratios: Sequence[Ratio | None], smallest_effect: float) -> list[float]:
    """The confidence at which each ratio's interval has to settle it, in the same order; of one
    ratio, 95 %. Those without an interval count as claims that are not made."""
    claims = [claim_level(ratio, smallest_effect) for ratio in ratios]
    found = [CONFIDENCE] * len(claims)
    level = 1 - CONFIDENCE
    ordered = sorted(range(len(claims)), key=lambda index: claims[index])
    left = len(claims)
    for index in ordered:
        found[index] = 1 - level / left
        if claims[index] <= level / left:
            left -= 1
    return found


def claim_level(ratio: Ratio | None, smallest_effect: float) -> float:
    """The smallest error probability at which the interval leaves out 1, or lies within the
    smallest effect: 0.03 when it does so at 97 % confidence, and not above."""
    if ratio is None or ratio.sd_log is None or ratio.low is None:
        return inf
    away, error = abs(log(ratio.ratio)), ratio.sd_log / sqrt(ratio.units)
    inside = log1p(smallest_effect) - away
    if error == 0:
        return 0.0 if away or inside >= 0 else inf
    degrees = ratio.units - 1
    within = p_value(inside / error, degrees) if inside > 0 else 1.0
    return min(p_value(away / error, degrees), within)
