# SPDX-License-Identifier: Apache-2.0
"""Numbers as the pages print them, and how the hooks were attached.

A number carries the digits its uncertainty supports, an unknown one is a dash.
"""

from collections.abc import Sequence
from math import ceil, floor, log10

from testbed.analysis.measures.cost import Cost
from testbed.analysis.reading.records import Arm, Run
from testbed.analysis.statistics.intervals import Ratio, geometric_mean, mean_interval

DASH = "\u2013"


def count(value: int | None) -> str:
    return DASH if value is None else f"{value:,}"


def share(value: float | None) -> str:
    """A share as a percentage that never rounds a loss away: 99.99 %, and 100 only when all."""
    if value is None:
        return DASH
    if value == 1:
        return "100"
    text = f"{value * 100:.2f}"
    return "99.99" if text == "100.00" and value < 1 else text


def milliseconds(value: float | None) -> str:
    return DASH if value is None else f"{value:,.1f}"


def cost_text(cost: Cost | None) -> str:
    """Only digits that stand for at least the uncertainty: 315 at 0.7, 315 at 2, 5.2 at 0.05."""
    if cost is None or cost.cost_us is None or not cost.uncertainty_us:
        return DASH
    decimals = max(0, -ceil(log10(cost.uncertainty_us)))
    return f"{cost.cost_us:,.{decimals}f}"


def significant(value: float | None, digits: int = 3) -> str:
    """Three significant digits without an exponent: 315, 5.25, 0.125, 1,230."""
    if value is None:
        return DASH
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - floor(log10(abs(value))))
    return f"{value:,.{decimals}f}"


def supported(value: float, half: float) -> str:
    """A number with the digits that ± `half` supports, its own first digit at least: 315 at 6,
    315.3 at 0.6, 315 at 18, 320 at 40.

    The Particle Data Group's rule: two digits of an uncertainty that begins with 1.0 to 3.5, one
    of a larger one (Review of Particle Physics, introduction, "Rounding").
    """
    if half <= 0:
        return significant(value)
    last = -floor(log10(half / 3.55))
    decimals = max(last, -floor(log10(abs(value))) if value else 0)
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


def mean_text(values: Sequence[float]) -> str:
    """A geometric mean with the digits that its 95 % interval supports; three of a single value,
    which has none."""
    mean, ends = geometric_mean(values), mean_interval(values)
    if mean is None:
        return DASH
    return significant(mean) if ends is None else supported(mean, (ends[1] - ends[0]) / 2)


def spread_text(spread: float | None) -> str:
    """A standard deviation in %, with two digits: from five trials it is known to a third."""
    return DASH if spread is None else significant(spread * 100, 2)


def ratio_text(ratio: Ratio | None) -> str:
    return DASH if ratio is None else _ratio_number(ratio.ratio, ratio)


def interval_text(ratio: Ratio | None) -> str:
    if ratio is None or ratio.low is None or ratio.high is None:
        return DASH
    return f"{_ratio_number(ratio.low, ratio)} to {_ratio_number(ratio.high, ratio)}"


def _ratio_number(value: float, ratio: Ratio) -> str:
    """With the digits that the interval supports; an end close to 1 gets the digits that show on
    which side it is."""
    if ratio.low is None or ratio.high is None:
        return short(value) if not 0.01 <= value < 100 else f"{value:.2f}"
    ends, half = (ratio.low, ratio.high), (ratio.high - ratio.low) / 2
    if half >= 1 and all(abs(end - 1) >= 0.05 for end in ends):
        return short(value)
    decimals = 2 if half >= 0.01 else 3
    while decimals < 4 and any(end != 1 and round(end, decimals) == 1 for end in ends):
        decimals += 1
    return f"{value:,.{decimals}f}"


def short(value: float) -> str:
    """Two digits, whatever the size: 42, 0.031, 1.2e+09."""
    return significant(value, 2) if 1e-4 <= value < 1e6 else f"{value:.1e}"


def mode_text(run: Run, arm: Arm) -> str:
    """The modes that `verify` found, not the one the label promises."""
    modes = sorted({trial.mode for trial in run.trials_of(arm.name) if trial.mode is not None})
    return ", ".join(mode or "none" for mode in modes) or "not verified"
