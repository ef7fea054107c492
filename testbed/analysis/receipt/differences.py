# SPDX-License-Identifier: Apache-2.0
"""Which functions make the difference: what each arm executes more or less than no hook, and where.

The rows of all functions add up to the difference of the typical counts, exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testbed.analysis.receipt.receipt import Receipt

MOST_ROWS = 30


@dataclass(frozen=True, slots=True)
class FunctionExtras:
    """A function in one stage; `extras` has an entry for each arm, in their order."""

    function: str
    stage: str
    without: int
    extras: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """`rows` are the largest first; `left` rows more add `left_extras`, `same` have no difference.

    `extras` is the difference in all, an entry for each arm.
    """

    arms: tuple[str, ...]
    rows: tuple[FunctionExtras, ...]
    left: int
    left_extras: tuple[int, ...]
    same: int
    extras: tuple[int, ...]


def differences(base: Receipt, hooks: Sequence[Receipt], most: int = MOST_ROWS) -> Differences:
    """Return the functions in which hooks differ from no hook."""
    rows = []
    keys = {key for one in (base, *hooks) for key in one.staged}
    for stage, function in keys:
        without = _instructions(base, stage, function)
        extras = tuple(_instructions(one, stage, function) - without for one in hooks)
        rows.append(FunctionExtras(function, stage, without, extras))
    differ = [row for row in rows if any(row.extras)]
    differ.sort(key=lambda row: (-max(map(abs, row.extras)), row.function, row.stage))
    left = differ[most:]
    return Differences(
        arms=tuple(one.title for one in hooks),
        rows=tuple(differ[:most]),
        left=len(left),
        left_extras=_sums(left, len(hooks)),
        same=len(rows) - len(differ),
        extras=_sums(differ, len(hooks)),
    )


def _instructions(one: Receipt, stage: str, function: str) -> int:
    taken = one.staged.get((stage, function))
    return taken.instructions if taken else 0


def _sums(rows: Sequence[FunctionExtras], arms: int) -> tuple[int, ...]:
    return tuple(sum(row.extras[at] for row in rows) for at in range(arms))


def unlike(one: Mapping[str, int], other: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """Return (function, in one, in other) where two counts of one arm differ, the largest first."""
    found = [
        (name, one.get(name, 0), other.get(name, 0))
        for name in {*one, *other}
        if one.get(name, 0) != other.get(name, 0)
    ]
    return sorted(found, key=lambda row: (-abs(row[2] - row[1]), row[0]))
