# SPDX-License-Identifier: Apache-2.0
"""A count as a table for the terminal."""

from collections.abc import Collection

from testbed.analysis.counting.life import IN_PROGRAM, RECEIVE, TO_SOCKET, WAKE_UP
from testbed.analysis.counting.result import Result
from testbed.analysis.counting.summary import Summary
from testbed.model.arm import BASELINE
from testbed.model.plan import Condition

HEAD = ("arm", "bytes", "typical", "over none", "mean", "to socket", "receive", "program",
        "wake-up", "copied", "zeroed", "loads", "stores", "device", "lines")  # fmt: skip
MOST_VARIANTS = 6
NO_TIME = (
    "Instructions are not time: a count sees no cache miss, no branch miss and no slow device."
)


def text(result: Result, void: Collection[str] = ()) -> str:
    """Return the table, the variants of each arm, and what a count is not.

    Arms in `void` are set beside nothing.
    """
    rows = [HEAD, *(_row(result, one, void) for one in result.summaries.values())]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines += ["", "Instructions per packet, its own work: typical = most frequent count."]
    for one, summary in result.summaries.items():
        many = f"{len(summary.packets):,} packets, {summary.typical_share:.0%} of them typical"
        lines += ["", f"{one.arm}, {one.payload_bytes:,} bytes, {many}:"]
        lines += _variants(summary)
    if result.same_work is None:
        lines += ["", "The gate was not run: whether the arms do the same work was not proved."]
    elif not result.same_work:
        lines += ["", "The arms do not do the same work: `testbed check` tells what differs."]
    return "\n".join([*lines, "", NO_TIME])


def _row(result: Result, one: Summary, void: Collection[str]) -> tuple[str, ...]:
    size = one.counted.payload_bytes
    base = result.summaries.get(Condition(BASELINE, size))
    usual = one.typical.taken()
    alone = base is None or base is one or not {one.counted.arm, BASELINE}.isdisjoint(void)
    over = "" if base is None or alone else f"{one.typical.own - base.typical.own:+,}"
    parts = (TO_SOCKET, RECEIVE, IN_PROGRAM, WAKE_UP)
    numbers = [one.part(name)["typical"] for name in parts]
    shown = (*numbers, usual.copied, usual.filled, usual.loads, usual.stores, usual.device)
    return (
        one.counted.arm, f"{size:,}", f"{one.typical.own:,}", over,
        f"{one.mean_instructions:,.1f}", *(f"{int(number):,}" for number in shown),
        f"{one.lines:,.0f}",
    )  # fmt: skip


def _variants(summary: Summary) -> list[str]:
    lines = []
    for one in summary.variants[:MOST_VARIANTS]:
        how = f"every {one.every}th packet" if one.every else f"{one.packets} packets"
        sign = f"{one.difference:+,}" if one.difference else f"{one.count:,}"
        lines.append(f"  {sign:>8}  {how:<18}  {one.cause}")
    left = len(summary.variants) - MOST_VARIANTS
    if left > 0:
        lines.append(f"  and {left} more counts, in derived/count.json")
    if summary.delivered < len(summary.packets):
        freed = ", ".join(f"{name} ({times})" for name, times in summary.freed_by.items())
        lost = len(summary.packets) - summary.delivered
        lines.append(f"  {lost} packets did not reach the program; given up by: {freed}")
    return lines
