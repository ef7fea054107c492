# SPDX-License-Identifier: Apache-2.0
"""Numbers and sentences as the pages print them; every sentence is rendered from the numbers.

A number carries the digits its uncertainty supports, an unknown one is a dash.
"""

from math import ceil, floor, log10

from testbed.analysis.comparison import Comparison
from testbed.analysis.cost import Cost
from testbed.analysis.environment import NO_DRIVER_XDP, UNKNOWN, nic_driver
from testbed.analysis.records import Arm, Run
from testbed.analysis.statistics import Ratio

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


def _ratio_decimals(ratio: Ratio) -> int:
    if ratio.low is None or ratio.high is None:
        return 2
    return 3 if ratio.high - ratio.low < 0.02 else 2


def ratio_text(ratio: Ratio | None) -> str:
    return DASH if ratio is None else f"{ratio.ratio:.{_ratio_decimals(ratio)}f}"


def interval_text(ratio: Ratio | None) -> str:
    if ratio is None or ratio.low is None or ratio.high is None:
        return DASH
    decimals = _ratio_decimals(ratio)
    return f"{ratio.low:.{decimals}f} to {ratio.high:.{decimals}f}"


def answer(run: Run, comparison: Comparison) -> str:
    """One comparison in one sentence, the verdict first; two when the verdict is open."""
    ratio = comparison.ratio
    arm, reference = run.arm(comparison.arm).title, run.arm(comparison.reference).title
    if ratio is None:
        return f"Invalid: “{arm}” is not compared with “{reference}”."
    said = (
        f"{comparison.verdict[0].upper()}{comparison.verdict[1:]}: “{arm}” took "
        f"{ratio_text(ratio)} times the CPU time per delivered packet of “{reference}”"
    )
    if ratio.low is None or ratio.high is None:
        return f"{said} in one block. One block has no interval: use --trials 5 or more."
    blocks = f"{ratio.block_count} blocks"
    if comparison.verdict != "inconclusive":
        return f"{said} (95\u00a0% interval {interval_text(ratio)}, {blocks})."
    return (
        f"{said} in these {blocks}, but the 95\u00a0% interval, {interval_text(ratio)}, reaches "
        f"from {_percent(ratio.low)} to {_percent(ratio.high)}. The trials vary too much to say "
        "which takes less."
    )


def _percent(ratio: float) -> str:
    return f"{abs(ratio - 1) * 100:.0f}\u00a0% {'less' if ratio < 1 else 'more'}"


def generic_xdp_note(run: Run) -> str:
    """What generic XDP means for the comparison; empty when no arm ran in that mode."""
    if not any(trial.mode == "generic" for trial in run.trials):
        return ""
    driver = nic_driver(run)
    if driver in NO_DRIVER_XDP:
        why = f"The NIC's driver, {driver}, has no XDP of its own, so the program ran"
    elif driver == UNKNOWN:
        why = "The XDP program ran"
    else:
        why = f"The XDP program was attached in generic mode (NIC driver {driver}) and ran"
    return (
        f"{why} as generic XDP: after the kernel had allocated the socket buffer. It returns "
        "XDP_PASS, so nothing of the network stack is skipped. This says nothing about XDP in a "
        "driver."
    )


def mode_text(run: Run, arm: Arm) -> str:
    """The modes that `verify` found, not the one the label promises."""
    modes = sorted({trial.mode for trial in run.trials_of(arm.name) if trial.mode is not None})
    return ", ".join(mode or "none" for mode in modes) or "not verified"
