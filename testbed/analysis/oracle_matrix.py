# SPDX-License-Identifier: Apache-2.0
"""The same-work gate's outcome in words: a row a group of cases, a column an arm."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testbed.analysis.oracle_records import CaseOutcome, GroupOutcome, OracleOutcome
from testbed.packets.case import GROUPS

SAME = "same"
MOSTLY = 0.9
"""From this share of wrong lengths on, beyond the first wrong one, all of them are "from … on"."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the matrix; a cell an arm, "" where the arm has no such cases."""

    label: str
    cells: tuple[str, ...]


def matrix(outcomes: Mapping[str, OracleOutcome]) -> tuple[Row, ...]:
    """Return a row for each group of cases, and one for the hits."""
    by_arm = [{group.group: group for group in o.groups} for o in outcomes.values()]
    names = dict.fromkeys([*GROUPS, *(name for groups in by_arm for name in groups)])
    rows = [
        Row(
            GROUPS.get(name, name),
            tuple(in_words(groups[name]) if name in groups else "" for groups in by_arm),
        )
        for name in names
        if any(name in groups for groups in by_arm)
    ]
    return (*rows, Row("hits of the hook", tuple(_hits(o) for o in outcomes.values())))


def in_words(group: GroupOutcome) -> str:
    """Return what became of a group: "same", or what is wrong, from where on, and how many."""
    said = []
    wrong, total = group.mismatches, len(group.cases)
    if wrong:
        first = wrong[0]
        count = f"all {total:,}" if len(wrong) == total else f"{len(wrong):,} of {total:,}"
        if group.is_sweep and len(wrong) < total:
            said.append(f"{first.fault} {_from(first, group)}: {count}")
        elif total == 1 or len(wrong) == total:
            said.append(first.fault if total == 1 else f"{first.fault}: {count}")
        else:
            said.append(f"{first.fault} ({first.title}): {count}")
    if group.unseen:
        said.append(f"not seen: {group.unseen:,} of {total:,}")
    return "; ".join(said) or SAME


def _from(first: CaseOutcome, group: GroupOutcome) -> str:
    """Say the first wrong length; "on" when nearly all longer ones are wrong, too."""
    at = first.payload_bytes or 0
    beyond = [case for case in group.cases if (case.payload_bytes or 0) >= at]
    runs_on = len(group.mismatches) >= MOSTLY * len(beyond) and len(beyond) > 1
    return f"from {at} bytes on" if runs_on else f"first at {at} bytes"


def _hits(outcome: OracleOutcome) -> str:
    hits = outcome.hits
    if hits.counted is None:
        return "no hook" if outcome.direct else "not counted"
    return hits.fault or f"{hits.counted:,} counted"


def reasons(outcome: OracleOutcome) -> tuple[str, ...]:
    """Return a line for each group in which something is wrong or unknown, then the hits'."""
    lines = [
        f"{GROUPS.get(group.group, group.group)}: {words}"
        for group in outcome.groups
        if (words := in_words(group)) != SAME
    ]
    return (*lines, *filter(None, [outcome.hits.fault]))


def plain_text(outcomes: Mapping[str, OracleOutcome], columns: int = 100) -> str:
    """Return the matrix as aligned text, cells wrapped so that a line fits into `columns`."""
    rows = [Row("frames, and what came out", tuple(outcomes)), *matrix(outcomes)]
    label = max(len(row.label) for row in rows)
    count = max(1, len(outcomes))
    widest = max((len(cell) for row in rows for cell in row.cells), default=1)
    width = min(max(10, (columns - label) // count - 2), widest)
    rule = ["-" * label, *["-" * width] * len(outcomes)]
    lines = [_line(part, label, width) for part in _parts(rows[0], width)]
    lines.append("  ".join(rule))
    for row in rows[1:]:
        lines += [_line(part, label, width) for part in _parts(row, width)]
    return "\n".join(lines)


def _parts(row: Row, width: int) -> list[Row]:
    """Return a row as the lines that its longest cell takes."""
    wrapped = [textwrap.wrap(cell, width) for cell in row.cells]
    height = max((len(cell) for cell in wrapped), default=1) or 1
    return [
        Row(row.label if place == 0 else "",
            tuple(cell[place] if place < len(cell) else "" for cell in wrapped))
        for place in range(height)
    ]  # fmt: skip


def _line(row: Row, label: int, width: int) -> str:
    cells: Sequence[str] = [f"{cell:<{width}}" for cell in row.cells]
    return "  ".join([f"{row.label:<{label}}", *cells]).rstrip()
