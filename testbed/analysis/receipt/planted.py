# SPDX-License-Identifier: Apache-2.0
"""Whether a count found what was planted: with its exact size, and under its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testbed.analysis.counting import stages
from testbed.analysis.receipt.receipt import Receipt
from testbed.model.planted import ARM, CALL, CALL_NOPS, CALLED, COPIED, COPY, LOG, PLANTS

AGAIN = f"{ARM}-again"
AROUND_CALL = 12
"""A call is its own instruction, the entry's place for tracing, and a return by way of a thunk."""
ABOUT_HALF = (0.45, 0.6)
"""A checksum's sum has a few instructions beside its loop."""
MOSTLY = 0.9
"""Recorded: of some 200 functions fewer than ten depend on the payload."""
FULL, HALF = 1000, 500


@dataclass(frozen=True)
class Outcome:
    """What was planted, what was to be found, and what was."""

    name: str
    title: str
    expected: str
    observed: str
    found: bool


def outcomes(receipts: Sequence[Receipt]) -> tuple[Outcome, ...]:
    """Return an outcome for each plant, the arm under two names, and the payload halved.

    Raises KeyError where an arm was not counted.
    """
    by = {(one.arm, one.payload): one for one in receipts}
    base = by[ARM, FULL]
    again = by[AGAIN, FULL].instructions - base.instructions
    found = [_exact(AGAIN, "the same arm under another name", 0, again)]
    for plant in PLANTS:
        one = by[plant.name, FULL]
        if plant.nops is not None:
            extra = one.instructions - base.instructions
            found.append(_exact(plant.name, plant.title, plant.nops, extra))
    found += [_call(by, base), _copy(by, base), _log(by), _half(base, by[ARM, HALF])]
    return tuple(found)


def _exact(name: str, title: str, expected: int, extra: int) -> Outcome:
    return Outcome(name, title, f"{expected:+,}", f"{extra:+,}", extra == expected)


def _call(by: Mapping[tuple[str, int], Receipt], base: Receipt) -> Outcome:
    one = by[CALL, FULL]
    size = one.ran(CALLED).total()
    extra = one.instructions - base.instructions
    return Outcome(
        CALL, "a call", f"{CALLED} with at least {CALL_NOPS}",
        f"{CALLED} with {size}, {extra:+,} in all" if size else f"no {CALLED}",
        CALL_NOPS <= size <= extra <= CALL_NOPS + AROUND_CALL,
    )  # fmt: skip


def _copy(by: Mapping[tuple[str, int], Receipt], base: Receipt) -> Outcome:
    one = by[COPY, FULL]
    extra = one.taken.copied - base.taken.copied
    own = sum(
        taken.copied for (_, name), taken in one.staged.items() if name.startswith("redirect_udp")
    )
    return Outcome(
        COPY, "a copy", f"{COPIED} bytes in redirect_udp", f"{own} bytes there, {extra:+,} in all",
        own == extra == COPIED,
    )  # fmt: skip


def _log(by: Mapping[tuple[str, int], Receipt]) -> Outcome:
    one = by[LOG, FULL]
    size = one.in_stage(stages.LOG).instructions
    names = one.ran("_printk", "vprintk_store")
    return Outcome(
        LOG, "a line in the kernel log", "_printk and what it calls",
        f"{size:,} instructions" if names else "no _printk", bool(names) and size > 0,
    )  # fmt: skip


def _half(full: Receipt, half: Receipt) -> Outcome:
    """Bytes, and the functions that touch each of them, halve; the others do not change."""
    ratio = half.ran("csum_partial").total() / (full.ran("csum_partial").total() or 1)
    names = {*full.functions, *half.functions}
    alike = sum(full.functions[name] == half.functions[name] for name in names) / len(names)
    fewer = full.taken.copied - half.taken.copied
    return Outcome(
        "half", "the payload halved",
        f"{FULL - HALF} bytes fewer copied, half the checksum, the rest alike",
        f"{fewer} bytes fewer, {ratio:.0%} of the checksum, {alike:.0%} of the functions alike",
        fewer == FULL - HALF and ABOUT_HALF[0] <= ratio <= ABOUT_HALF[1] and alike >= MOSTLY,
    )  # fmt: skip
