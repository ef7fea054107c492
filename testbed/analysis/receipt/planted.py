# SPDX-License-Identifier: Apache-2.0
"""Whether a count found what was planted: with its exact size, and under its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from testbed.analysis.counting import stages
from testbed.analysis.receipt.receipt import Receipt
from testbed.model.plan import Condition
from testbed.model.planted import ARM, CALL, CALL_NOPS, CALLED, COPIED, COPY, LOG, PLANTS

AGAIN = f"{ARM}-again"
AROUND_CALL = 12
"""A call is its own instruction, the entry's place for tracing, and a return by way of a thunk."""
MOSTLY = 0.9
"""Recorded: of some 200 functions fewer than ten depend on the payload."""
FULL, HALF, QUARTER = 1272, 632, 312
"""Payloads with which the UDP length is 1,280, 640 and 320 bytes. The kernel's checksum takes 64
bytes at a time, since Linux 6.5 also 80, and the rest in smaller steps: none of these has a rest.
"""


@dataclass(frozen=True)
class Outcome:
    """One planted fault: its size, the size that was to be found, and the size that was."""

    name: str
    title: str
    expected: str
    observed: str
    found: bool


def outcomes(receipts: Sequence[Receipt]) -> tuple[Outcome, ...]:
    """Return an outcome for each plant, the arm under two names, and the payload halved.

    Raises KeyError where an arm was not counted.
    """
    by = {one.condition: one for one in receipts}
    base = by[Condition(ARM, FULL)]
    again = by[Condition(AGAIN, FULL)].instructions - base.instructions
    found = [_exact(AGAIN, "the same arm under another name", 0, again)]
    for plant in PLANTS:
        one = by[Condition(plant.name, FULL)]
        if plant.nops is not None:
            extra = one.instructions - base.instructions
            found.append(_exact(plant.name, plant.title, plant.nops, extra))
    found += [_call(by, base), _copy(by, base), _log(by), _half(by)]
    return tuple(found)


def _exact(name: str, title: str, expected: int, extra: int) -> Outcome:
    return Outcome(name, title, f"{expected:+,}", f"{extra:+,}", extra == expected)


def _call(by: Mapping[Condition, Receipt], base: Receipt) -> Outcome:
    one = by[Condition(CALL, FULL)]
    size = one.ran(CALLED).total()
    extra = one.instructions - base.instructions
    return Outcome(
        CALL, "a call", f"{CALLED} with at least {CALL_NOPS}",
        f"{CALLED} with {size}, {extra:+,} in all" if size else f"no {CALLED}",
        CALL_NOPS <= size <= extra <= CALL_NOPS + AROUND_CALL,
    )  # fmt: skip


def _copy(by: Mapping[Condition, Receipt], base: Receipt) -> Outcome:
    one = by[Condition(COPY, FULL)]
    extra = one.taken.copied - base.taken.copied
    own = sum(
        taken.copied for (_, name), taken in one.staged.items() if name.startswith("redirect_udp")
    )
    return Outcome(
        COPY, "a copy", f"{COPIED} bytes in redirect_udp", f"{own} bytes there, {extra:+,} in all",
        own == extra == COPIED,
    )  # fmt: skip


def _log(by: Mapping[Condition, Receipt]) -> Outcome:
    one = by[Condition(LOG, FULL)]
    size = one.in_stage(stages.LOG).instructions
    names = one.ran("_printk", "vprintk_store")
    return Outcome(
        LOG, "a line in the kernel log", "_printk and what it calls",
        f"{size:,} instructions" if names else "no _printk", bool(names) and size > 0,
    )  # fmt: skip


def _half(by: Mapping[Condition, Receipt]) -> Outcome:
    """Bytes, and what the checksum adds for them, halve; the other functions do not change."""
    sizes = [by[Condition(ARM, size)] for size in (FULL, HALF, QUARTER)]
    full, half, _ = sizes
    sums = [one.ran("csum_partial").total() for one in sizes]
    fewer = [one.taken.copied - other.taken.copied for one, other in pairwise(sizes)]
    steps = [one - other for one, other in pairwise(sums)]
    names = {*full.functions, *half.functions}
    alike = sum(full.functions[name] == half.functions[name] for name in names) / len(names)
    return Outcome(
        "half", "the UDP length halved, twice",
        f"{FULL - HALF} and {HALF - QUARTER} bytes fewer copied, a step of the checksum half of "
        "the one before, the rest alike",
        f"{fewer[0]} and {fewer[1]} bytes fewer, steps of {steps[0]} and {steps[1]}, "
        f"{alike:.0%} of the functions alike",
        fewer == [FULL - HALF, HALF - QUARTER] and steps[0] == 2 * steps[1] > 0
        and alike >= MOSTLY,
    )  # fmt: skip
