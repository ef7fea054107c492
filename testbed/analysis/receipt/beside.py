# SPDX-License-Identifier: Apache-2.0
"""Two counts beside each other: allowed where the machines were equal but for boot and host.

A count does not depend on the host or on the boot, so two counts of equal machines need no
interval: what differs is another program, another arm, or another way through the kernel.
"""

from dataclasses import dataclass
from typing import Any

from testbed.analysis.receipt.differences import unlike
from testbed.analysis.receipt.hook_checks import IDENTITY
from testbed.analysis.receipt.judged import JudgedCount
from testbed.analysis.receipt.receipt import Receipt
from testbed.analysis.receipt.view import signed
from testbed.model.errors import RunError

CAVEAT = (
    "Instructions of two runs may be set beside each other because the machines were equal in all "
    "that counts depend on. CPU times may not."
)
EQUAL = (*(name for name in IDENTITY if name != "boot_id"), "interface", "gro", "command_line")
"""The boot may differ: counts were the same across boots (docs/counting.md)."""
ALWAYS = {"gro": True}
"""The value in every count that does not record it."""
MOST_FUNCTIONS = 10


@dataclass(frozen=True)
class Pair:
    """One arm with one payload in both runs."""

    first: Receipt
    second: Receipt

    @property
    def extra(self) -> int:
        """Instructions of the typical packet, more in the second."""
        return self.second.instructions - self.first.instructions

    @property
    def functions(self) -> list[tuple[str, int, int]]:
        """(function, in the first, in the second) where they differ, the largest first."""
        return unlike(self.first.functions, self.second.functions)


@dataclass(frozen=True)
class Beside:
    """Two counts that may be compared, and those arms of theirs that hold."""

    first: str
    second: str
    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what `compare --json` prints."""
        return {"first": self.first, "second": self.second, "caveat": CAVEAT, "arms": [
            {"arm": pair.first.arm, "payload_bytes": pair.first.payload,
             "first": pair.first.instructions, "second": pair.second.instructions,
             "difference": pair.extra,
             "functions": {name: [one, two] for name, one, two in pair.functions}}
            for pair in self.pairs
        ], "left_out": list(self.left_out)}  # fmt: skip


def beside(first: JudgedCount, second: JudgedCount) -> Beside:
    """Return the arms that both counts have. Raises RunError where the machines were not equal."""
    found = differences(first, second)
    if found:
        raise RunError(
            "these two counts are of unlike machines, so they must not be compared",
            hint="count again with the same QEMU and testbed.toml; only the kernel may differ",
            detail="\n".join(found.values()),
        )
    return common(first, second)


def common(first: JudgedCount, second: JudgedCount) -> Beside:
    """Return the arms that both counts have. Raises RunError where there are none."""
    valid = {one.condition: one for one in first.comparable}
    pairs = [Pair(valid[one.condition], one) for one in second.comparable if one.condition in valid]
    counted = [{one.condition for one in count.run.receipts} for count in (first, second)]
    both = set.intersection(*counted)
    shown = {pair.first.condition for pair in pairs}
    left = tuple(
        f"{one.arm}, {one.payload_bytes:,} bytes: INVALID"
        for one in sorted(both - shown, key=lambda one: (one.arm, one.payload_bytes))
    )
    if not both:
        raise RunError(
            "these two counts have no arm with the same payload in common",
            hint="count the same arms and payloads: `testbed count --arms … --payload …`",
        )
    return Beside(first.run.run_id, second.run.run_id, tuple(pairs), left)


def differences(first: JudgedCount, second: JudgedCount) -> dict[str, str]:
    """Return {name: a line} of all of the identity that differs or is not recorded."""
    found = {}
    for name in EQUAL:
        one, two = (run.identity.get(name, ALWAYS.get(name)) for run in (first.run, second.run))
        words = name.replace("_", " ")
        if one != two:
            found[name] = f"{words}: {differs(one, two)}"
        elif one in (None, "", []):
            found[name] = f"{words}: not recorded"
    return found


def differs(one: Any, two: Any) -> str:
    """Return how two values of an identity differ; of lists, what only one of them has."""
    if isinstance(one, list) and isinstance(two, list):
        only = [f"{value} only in the first" for value in one if value not in two]
        only += [f"{value} only in the second" for value in two if value not in one]
        return ", ".join(only) or "in another order"
    return f"{_text(one)} in the first, {_text(two)} in the second"


def _text(value: Any) -> str:
    return "not recorded" if value in (None, "") else str(value)


def text(found: Beside) -> str:
    """Return the comparison for the terminal."""
    lines = [f"{found.second} beside {found.first}: instructions of the typical packet"]
    width = max((len(pair.second.title) for pair in found.pairs), default=0)
    for pair in found.pairs:
        lines.append(
            f"{pair.second.title:<{width}}  {pair.second.payload:>5,} bytes  "
            f"{pair.first.instructions:>8,}  {pair.second.instructions:>8,}  "
            f"{signed(pair.extra):>7}"
        )
        functions = pair.functions
        lines += [
            f"    {name}: {one:,}, {two:,} ({signed(two - one)})"
            for name, one, two in functions[:MOST_FUNCTIONS]
        ]
        if len(functions) > MOST_FUNCTIONS:
            lines.append(f"    and {len(functions) - MOST_FUNCTIONS} more, with --json")
    lines += [f"left out: {line}" for line in found.left_out]
    return "\n".join([*lines, CAVEAT])
