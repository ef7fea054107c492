# SPDX-License-Identifier: Apache-2.0
"""The gate's matrix as text that fits into a terminal.

With few arms each has a column with its name, and words are wrapped. With more the columns are
numbered, and what is too long for a cell is a letter: `a`, or `!a` where something is wrong. The
arms' names stand above the table, what the letters mean below it.
"""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import count
from string import ascii_lowercase

from testbed.analysis.gate.matrix import MatrixRow, matrix
from testbed.analysis.gate.outcomes import GateOutcome

HEADING = "frames, and what came out"
READABLE = 14
"""Columns in which words can be wrapped and still be read."""
SHORT, SHORTEST = 9, 4
"""Columns of a cell without wrapping: "forwarded"; "same"."""


def plain_text(outcomes: Mapping[str, GateOutcome], columns: int = 80) -> str:
    """Return the matrix as aligned text, no line longer than `columns` (40 or more)."""
    rows, arms = matrix(outcomes), list(outcomes)
    label = min(max(len(row.label) for row in (*rows, MatrixRow(HEADING, ()))), columns // 2)
    each = (columns - label) // max(1, len(arms)) - 2
    if each >= READABLE or not arms:
        whole = [MatrixRow(HEADING, tuple(arms)), *rows]
        widest = max((len(cell) for row in whole for cell in row.cells), default=1)
        return _table(whole, label, min(each, widest))
    letters = _Letters(max(SHORTEST, min(each, SHORT)))
    most = max(1, (columns - label) // (letters.width + 2))
    parts = [_names(arms, columns)]
    for first in range(0, len(arms), most):
        numbers = tuple(str(place + 1) for place in range(first, min(first + most, len(arms))))
        short = [letters.row(row, slice(first, first + most)) for row in rows]
        parts.append(_table([MatrixRow(HEADING, numbers), *short], label, letters.width))
    return "\n\n".join(filter(None, [*parts, letters.meaning(columns)]))


class _Letters:
    """Gives every text that is too long for a cell a letter of its own."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._known: dict[str, str] = {}

    def row(self, row: MatrixRow, part: slice) -> MatrixRow:
        """Return a part of a row with each cell short enough; a wrong one begins with "!"."""
        wrong = row.wrong or (False,) * len(row.cells)
        pairs = zip(row.cells[part], wrong[part], strict=True)
        return MatrixRow(row.label, tuple(self._short(cell, bad) for cell, bad in pairs))

    def _short(self, cell: str, is_wrong: bool) -> str:
        if len(cell) <= self.width and not is_wrong:
            return cell
        letter = self._known.setdefault(cell, _letter(len(self._known)))
        return f"!{letter}" if is_wrong else letter

    def meaning(self, columns: int) -> str:
        """Return what the letters stand for, a paragraph each."""
        return "\n".join(_hanging(f"{letter:<2} ", text, columns)
                         for text, letter in self._known.items())  # fmt: skip


def _letter(place: int) -> str:
    rest, last = divmod(place, len(ascii_lowercase))
    return (_letter(rest - 1) if rest else "") + ascii_lowercase[last]


def _names(arms: Sequence[str], columns: int) -> str:
    """Return the arms with the numbers of their columns, one a line."""
    return "\n".join(_hanging(f"{place:>2} ", arm, columns) for place, arm in zip(count(1), arms))


def _hanging(begin: str, text: str, columns: int) -> str:
    return textwrap.fill(text, columns, initial_indent=begin, subsequent_indent=" " * len(begin))


def _table(rows: Sequence[MatrixRow], label: int, width: int) -> str:
    lines = _lines(rows[0], label, width)
    lines.append("  ".join(["-" * label, *["-" * width] * len(rows[0].cells)]))
    for row in rows[1:]:
        lines += _lines(row, label, width)
    return "\n".join(lines)


def _lines(row: MatrixRow, label: int, width: int) -> list[str]:
    """Return a row as the lines that its longest cell takes."""
    cells = [textwrap.wrap(row.label, label), *(textwrap.wrap(cell, width) for cell in row.cells)]
    widths = [label, *[width] * len(row.cells)]
    return [
        "  ".join(
            f"{cell[place] if place < len(cell) else '':<{wide}}"
            for cell, wide in zip(cells, widths, strict=True)
        ).rstrip()
        for place in range(max(1, *map(len, cells)))
    ]
