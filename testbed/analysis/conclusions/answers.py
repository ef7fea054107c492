# SPDX-License-Identifier: Apache-2.0
"""What a page answers, in sentences; each is rendered from the numbers that it is about."""

from collections.abc import Sequence
from math import ceil

from testbed.analysis.conclusions.comparison import AA_PAIR, Comparison
from testbed.analysis.conclusions.sentences import interval_text, ratio_text, short
from testbed.analysis.measures.cost_names import cost_noun
from testbed.analysis.measures.rates import lower_rate
from testbed.analysis.reading.records import Run
from testbed.analysis.statistics.intervals import FEWEST_BOOTS, SMALLEST_EFFECT, Ratio, is_settled
from testbed.analysis.statistics.precision import MOST_TO_SETTLE, POWER


def answer(run: Run, comparison: Comparison) -> str:
    """One comparison in one sentence, the verdict first; more when the verdict is open."""
    ratio = comparison.ratio
    arm, reference = run.arm(comparison.arm).title, run.arm(comparison.reference).title
    if comparison.rates is not None:
        return _no_answer(run, comparison, comparison.rates)
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
    if ratio.boots > 1:
        blocks += f" on {ratio.boots} boots"
    if comparison.verdict != "inconclusive":
        return f"{said} (95\u00a0% interval {interval_text(ratio)}, {blocks})."
    if is_settled(ratio.low, ratio.high, SMALLEST_EFFECT):
        why = (
            f". Its 95\u00a0% interval, {interval_text(ratio)}, would settle it alone, but not as "
            f"one of {comparison.family} comparisons, of which one may come out so by chance."
        )
    else:
        why = (
            f", but the 95\u00a0% interval, {interval_text(ratio)}, reaches from "
            f"{_percent(ratio.low)} to {_percent(ratio.high)}. The trials vary too much to say "
            "which takes less."
        )
    return f"{said} in these {blocks}{why} {_what_would_settle(ratio, comparison.blocks_to_settle)}"


def _no_answer(run: Run, comparison: Comparison, rates: tuple[float, float]) -> str:
    """Two arms that were sent at different rates: who got how much less, and what to do."""
    arm, reference = run.arm(comparison.arm).title, run.arm(comparison.reference).title
    slow, fast = (arm, reference) if rates[0] < rates[1] else (reference, arm)
    fewer = (1 - min(rates) / max(rates)) * 100
    rate = lower_rate(run)
    lower = "at a lower rate" if rate is None else f"with --rate {rate}"
    return (
        f"No answer: “{slow}” was sent {fewer:.0f}\u00a0% fewer packets a second than “{fast}” "
        f"({min(rates):,.0f} and {max(rates):,.0f}), and a packet costs more at a lower rate. "
        f"Measure again {lower}, so that every arm gets the same."
    )


def _what_would_settle(ratio: Ratio, needed: int | None) -> str:
    """How many blocks, or boots, a new run needs to settle it in four runs of five."""
    power, units = f"{POWER * 100:.0f}\u00a0%", "boots" if ratio.is_of_boots else "blocks"
    if needed is None:
        return (
            "If mean and spread stay as they were, not even a new run of "
            f"{MOST_TO_SETTLE:,} {units} settles it with {power} probability."
        )
    options = f"--trials {needed}"
    if ratio.is_of_boots:
        options = f"--boots {needed} --trials {needed * ceil(ratio.block_count / ratio.boots)}"
    return (
        f"If mean and spread stay as they were, a new run of {needed:,} {units} settles it with "
        f"{power} probability ({options})."
    )


def together_text(comparisons: Sequence[Comparison]) -> str:
    """How many comparisons of hooks were judged, and what was done about their number; empty
    without one."""
    count = sum(c.is_headline and c.ratio is not None for c in comparisons)
    if not count:
        return ""
    if count == 1:
        return (
            "This is the only comparison of two hooks, so nothing is corrected for their number; "
            "each ratio to no hook stands by itself."
        )
    return (
        f"{count} comparisons of hooks are judged together (Holm): a wrong “lower”, “higher” or "
        "“no difference” among them has at most 5\u00a0% probability. Each interval, and each "
        "ratio to no hook, stands by itself."
    )


def boots_text(run: Run) -> str:
    """Over how many boots of the machines the blocks went, and what the interval knows of that."""
    if not run.complete or len(run.blocks) < 2:
        return ""
    if len(run.boots) >= FEWEST_BOOTS:
        return (
            f"The blocks are of {len(run.boots)} boots of the machines, and each interval is that "
            f"of the boots’ means ({len(run.boots) - 1} degrees of freedom): it says what other "
            "boots would give, too."
        )
    boots = len(run.boots) or _boots(run)
    if boots is None:
        return (
            "How often the machines were booted is not recorded. The intervals say how these "
            "blocks vary; another boot may give another number."
        )
    if boots == 1:
        return (
            "All blocks are of one boot of the machines. The intervals say how these blocks vary; "
            f"another boot may give another number (--boots {FEWEST_BOOTS} or more measures it)."
        )
    return (
        f"The blocks are of {boots} boots, each block within one. That is too few to tell how "
        f"boots vary: the intervals say how blocks do (--boots {FEWEST_BOOTS} or more)."
    )


def _boots(run: Run) -> int | None:
    """How many boots of the machines a run went over; a resumption may be one. None when not
    recorded."""
    ids = [
        tuple(run.facts.get(f"{role}-{when}", {}).get("boot_id") for role in ("server", "client"))
        for when in ("before", "after")
    ]
    if any(None in each for each in ids):
        return None
    return 1 if ids[0] == ids[1] else max(2, len(run.resumed) + 1)


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
    of_boots = least.ratio is not None and least.ratio.is_of_boots
    units = f"{least.ratio.units if least.ratio else 0} {'boots' if of_boots else 'blocks'}"
    return (
        f"With these {units} this machine could have seen a difference of "
        f"{_rounded_up(least.mde or 0.0)} or more ({source})."
    )


def _rounded_up(effect: float) -> str:
    """A minimum detectable effect: 7 %, 0.4 %; from twice the cost on, a factor of 2.4."""
    if effect >= 1:
        return f"a factor of {short(1 + effect)}"
    percent = effect * 100
    if percent < 1:
        return f"{max(1, ceil(round(percent * 10, 6))) / 10:.1f}\u00a0%"
    return f"{ceil(round(percent, 6))}\u00a0%"


def _percent(ratio: float) -> str:
    """How far one end of an interval is from 1: 12 % less, 0.4 % more, 2.4 times as much."""
    if not 0.1 < ratio < 2:
        return f"{short(ratio)} times as much"
    percent = abs(ratio - 1) * 100
    number = f"{percent:.0f}" if percent >= 1 else f"{max(percent, 0.1):.1f}"
    return f"{number}\u00a0% {'less' if ratio < 1 else 'more'}"
