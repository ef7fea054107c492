# SPDX-License-Identifier: Apache-2.0
"""Two kernels beside each other in words, for the terminal and the page, and as JSON."""

from dataclasses import asdict
from typing import Any

from testbed.analysis.kernels.compared import Added, Compared, Row, TwoKernels
from testbed.analysis.receipt.answer import NOT_TIME, counted
from testbed.analysis.receipt.view import MINUS, signed

INLINED = (
    "A compiler builds small functions into their callers, and not always the same ones in both "
    "kernels. Then instructions move from one name to another, and a name may be there on one "
    "kernel only. The sums are exact; a row alone may be such a move."
)
ALIKE = (
    "QEMU, its CPU, the NIC, GRO, the kernel’s parameters and each arm’s payload were equal in "
    "both counts. The boxes may differ in more than the kernel."
)
NOTHING = "Nothing that was recorded, beside the kernels and their boxes."
MOST_IN_TERMINAL = 10
NOT_THERE = "\u2013"
ASCII = str.maketrans({NOT_THERE: "-", MINUS: "-", "\u2019": "'", "\u201c": '"', "\u201d": '"'})


def text(found: TwoKernels, *, unicode: bool = True) -> str:
    """Return the comparison for the terminal; every list of functions is bounded, and says so."""
    one, two = found.first.label, found.second.label
    heads = (one, two, "difference")
    lines = [
        f"Kernel {two} ({found.second.run}) beside kernel {one} ({found.first.run})",
        "",
        *_table([("Instructions of the typical packet", *heads), *map(_arm, found.arms)]),
    ]
    if found.added:
        lines += ["", *_table([("What a hook adds", *heads), *map(_more, found.added)])]
    for arm in found.arms:
        rows, left = arm.rows[:MOST_IN_TERMINAL], arm.rows[MOST_IN_TERMINAL:]
        lines.append("")
        if rows:
            lines += _table([(f"{_title(arm)}: functions", *heads), *map(_function, rows)])
        else:
            lines.append(f"{_title(arm)}: no function differs")
        if left:
            extra = signed(sum(row.extra for row in left))
            lines.append(f"and {counted(len(left), 'function')} more, together {extra}")
    lines += ["", *(f"left out: {line}" for line in found.left_out)]
    lines += [INLINED, *answers(found), *(f"Also: {line}" for line in also(found)), NOT_TIME]
    said = "\n".join(lines)
    return said if unicode else said.translate(ASCII)


def answers(found: TwoKernels) -> list[str]:
    """Return a sentence for each arm: which kernel executes more, and where most of that is."""
    said = []
    several = len({arm.one.payload for arm in found.arms}) > 1
    for arm in found.arms:
        size = f" of {arm.one.payload:,} bytes" if several else ""
        who = "Without a hook" if arm.one.is_baseline else f"With {arm.one.spoken}"
        extra = arm.pair.extra
        if extra == 0:
            said.append(
                f"{who}, kernel {found.second.label} executes as many instructions for the typical "
                f"packet{size} as kernel {found.first.label}."
            )
            continue
        share = abs(extra) / arm.pair.first.instructions if arm.pair.first.instructions else None
        percent = f" ({share:.1%})" if share is not None else ""
        word = "more" if extra > 0 else "fewer"
        said.append(
            f"{who}, kernel {found.second.label} executes {counted(abs(extra), 'instruction')} "
            f"{word}{percent} for the typical packet{size} than kernel {found.first.label}."
        )
    return said


def also(found: TwoKernels) -> list[str]:
    """Return what else differs, a sentence each."""
    return list(found.also) or [NOTHING]


def as_json(found: TwoKernels) -> dict[str, Any]:
    """Return what `compare --json` prints (docs/counting.md)."""
    return {
        "first": found.first.run, "second": found.second.run,
        "kernels": [
            {"label": one.label, "run": one.run, "facts": dict(one.facts)}
            for one in (found.first, found.second)
        ],
        "caveat": INLINED,
        "also": list(found.also),
        "arms": [
            {"arm": arm.one.arm, "payload_bytes": arm.one.payload,
             "first": arm.pair.first.instructions, "second": arm.pair.second.instructions,
             "difference": arm.pair.extra,
             "functions": {row.name: [row.first, row.second] for row in arm.rows}}
            for arm in found.arms
        ],
        "added": [asdict(row) for row in found.added],
        "left_out": list(found.left_out),
    }  # fmt: skip


def shown(count: int | None) -> str:
    """A count, or a dash where the function did not run."""
    return NOT_THERE if count is None else f"{count:,}"


def _title(arm: Compared) -> str:
    return f"{arm.one.title}, {arm.one.payload:,} bytes"


def _arm(arm: Compared) -> tuple[str, ...]:
    pair = arm.pair
    numbers = (f"{pair.first.instructions:,}", f"{pair.second.instructions:,}")
    return (_title(arm), *numbers, signed(pair.extra))


def _more(row: Added) -> tuple[str, ...]:
    what = f"{row.arm} over {row.over}, {row.payload:,} bytes"
    return (what, signed(row.first), signed(row.second), signed(row.second - row.first))


def _function(row: Row) -> tuple[str, ...]:
    return (row.name, shown(row.first), shown(row.second), signed(row.extra))


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Align names to the left and numbers to the right; every row has as many cells."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def aligned(row: tuple[str, ...]) -> str:
        numbers = zip(row[1:], widths[1:], strict=True)
        return "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in numbers)])

    return [aligned(row) for row in rows]
