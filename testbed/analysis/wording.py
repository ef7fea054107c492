# SPDX-License-Identifier: Apache-2.0
"""Numbers and sentences as the pages print them; every sentence is rendered from the numbers.

A number carries the digits its uncertainty supports, an unknown one is a dash.
"""

from collections.abc import Sequence
from math import ceil, floor, log10

from testbed.analysis.comparison import AA_PAIR, Comparison
from testbed.analysis.cost import Cost
from testbed.analysis.naming import cost_noun
from testbed.analysis.precision import MOST_TO_SETTLE, POWER
from testbed.analysis.records import Arm, Run
from testbed.analysis.statistics import Ratio, geometric_mean, mean_interval

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
        return _short(value) if not 0.01 <= value < 100 else f"{value:.2f}"
    ends, half = (ratio.low, ratio.high), (ratio.high - ratio.low) / 2
    if half >= 1 and all(abs(end - 1) >= 0.05 for end in ends):
        return _short(value)
    decimals = 2 if half >= 0.01 else 3
    while decimals < 4 and any(end != 1 and round(end, decimals) == 1 for end in ends):
        decimals += 1
    return f"{value:,.{decimals}f}"


def _short(value: float) -> str:
    """Two digits, whatever the size: 42, 0.031, 1.2e+09."""
    return significant(value, 2) if 1e-4 <= value < 1e6 else f"{value:.1e}"


def answer(run: Run, comparison: Comparison) -> str:
    """One comparison in one sentence, the verdict first; more when the verdict is open."""
    ratio = comparison.ratio
    arm, reference = run.arm(comparison.arm).title, run.arm(comparison.reference).title
    if ratio is None:
        return f"Invalid: “{arm}” is not compared with “{reference}”."
    if ratio.block_count < 2:
        return (
            f"Inconclusive between “{arm}” and “{reference}”: one block says nothing about "
            "spread. Use --trials 5 or more."
        )
    if ratio.low is None or ratio.high is None:
        return (
            f"Inconclusive between “{arm}” and “{reference}”: the trials differ by so much that "
            "their ratio has no interval."
        )
    said = (
        f"{comparison.verdict[0].upper()}{comparison.verdict[1:]}: “{arm}” took "
        f"{ratio_text(ratio)} times the {cost_noun(run)} per delivered packet of “{reference}”"
    )
    blocks = f"{ratio.block_count} blocks"
    if comparison.verdict != "inconclusive":
        return f"{said} (95\u00a0% interval {interval_text(ratio)}, {blocks})."
    return (
        f"{said} in these {blocks}, but the 95\u00a0% interval, {interval_text(ratio)}, reaches "
        f"from {_percent(ratio.low)} to {_percent(ratio.high)}. The trials vary too much to say "
        f"which takes less. {_what_would_settle(comparison.blocks_to_settle)}"
    )


def _what_would_settle(blocks: int | None) -> str:
    if blocks is None:
        return (
            f"If they keep varying as they did, even {MOST_TO_SETTLE:,} blocks would not settle it."
        )
    return (
        f"If they keep varying as they did, about {blocks:,} blocks would settle it "
        f"(a new run with --trials {blocks})."
    )


def aa_answer(run: Run, comparison: Comparison) -> str:
    """What the A/A pair says about this machine; empty when it is not valid."""
    ratio = comparison.ratio
    if ratio is None:
        return ""
    who = f"The same arm measured twice under two names (“{run.arm(comparison.reference).title}”)"
    if ratio.block_count < 2:
        return f"{who}: one block says nothing about spread."
    if ratio.low is None or ratio.high is None:
        return f"{who}: the trials differ by so much that the ratio has no interval."
    said = f"{who}: ratio {ratio_text(ratio)} ({interval_text(ratio)})"
    if comparison.verdict in ("lower", "higher"):
        return (
            f"Warning: {said[0].lower()}{said[1:]} comes out {comparison.verdict} than itself. "
            "Either this machine’s noise fools the method, or this is the one run in twenty in "
            "which a 95\u00a0% interval misses: believe no difference of this size before a new "
            "run shows it again."
        )
    if comparison.verdict == "inconclusive":
        return (
            f"{said}: no difference was found, as it should be, but the interval reaches from "
            f"{_percent(ratio.low)} to {_percent(ratio.high)}."
        )
    return f"{said}: {comparison.verdict}."


def mde_text(run: Run, comparisons: Sequence[Comparison]) -> str:
    """The smallest effect that these comparisons could have found: of several, the one that could
    find least. Empty when it is known of none."""
    known = [c for c in comparisons if c.mde is not None and c.ratio]
    if not known:
        return ""
    least = max(known, key=lambda c: c.mde or 0.0)
    power = f"{POWER * 100:.0f}\u00a0% power"
    if least.mde_source == AA_PAIR:
        source = f"from the A/A pair, at {power}"
    else:
        arm, reference = run.arm(least.arm).title, run.arm(least.reference).title
        widest = f", the widest of {len(known)} comparisons" if len(known) > 1 else ""
        source = f"from the spread seen between “{arm}” and “{reference}”{widest}, at {power}"
    blocks = least.ratio.block_count if least.ratio else 0
    return (
        f"With these {blocks} blocks this machine could have seen a difference of "
        f"{_rounded_up(least.mde or 0.0)} or more ({source})."
    )


def _rounded_up(effect: float) -> str:
    """A minimum detectable effect: 7 %, 0.4 %; from twice the cost on, a factor of 2.4."""
    if effect >= 1:
        return f"a factor of {_short(1 + effect)}"
    percent = effect * 100
    if percent < 1:
        return f"{max(1, ceil(round(percent * 10, 6))) / 10:.1f}\u00a0%"
    return f"{ceil(round(percent, 6))}\u00a0%"


def _percent(ratio: float) -> str:
    """How far one end of an interval is from 1: 12 % less, 0.4 % more, 2.4 times as much."""
    if not 0.1 < ratio < 2:
        return f"{_short(ratio)} times as much"
    percent = abs(ratio - 1) * 100
    number = f"{percent:.0f}" if percent >= 1 else f"{max(percent, 0.1):.1f}"
    return f"{number}\u00a0% {'less' if ratio < 1 else 'more'}"


def mode_text(run: Run, arm: Arm) -> str:
    """The modes that `verify` found, not the one the label promises."""
    modes = sorted({trial.mode for trial in run.trials_of(arm.name) if trial.mode is not None})
    return ", ".join(mode or "none" for mode in modes) or "not verified"
