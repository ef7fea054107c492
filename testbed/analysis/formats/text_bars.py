# SPDX-License-Identifier: Apache-2.0
"""Bars in text: one row each, as long as its value, with the ends of its interval.

All bars begin at 0 and share one scale, so a small difference looks small. A row without a value
says why in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SOLID, RANGE, CUT = "█", "░", "…"
SHORTEST = 6
"""Columns of a label and of the longest bar, however narrow the terminal."""
ASCII = str.maketrans({
    "█": "#", "░": "-", "µ": "u", "×": "x", "±": "+/-", "\u2013": "-", "−": "-", "…": "...",
    "“": '"', "”": '"', "’": "'", "\u2018": "'", "\u00a0": " ",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A row. `value` is None where no bar may be drawn: `words` then say why.

    `low` and `high`, the ends of the interval, are None of a value that has none.
    """

    label: str
    words: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


def bars(rows: Sequence[Bar], columns: int) -> list[str]:
    """Return the rows as lines of `columns` at most (40 or more): label, bar, words."""
    words = max((len(row.words) for row in rows if row.value is not None), default=0)
    room = max(SHORTEST, min(columns // 3, columns - words - 4 - SHORTEST))
    label = min(max((len(row.label) for row in rows), default=0), room)
    width = max(SHORTEST, columns - label - words - 4)
    most = max((max(row.value, row.high or 0) for row in rows if row.value is not None), default=0)
    return [_line(row, label, width, most) for row in rows]


def in_ascii(text: str) -> str:
    """Return a line with the signs of bars and sentences in ASCII, any other letter as "?"."""
    return text.translate(ASCII).encode("ascii", "replace").decode()


def _line(row: Bar, label: int, width: int, most: float) -> str:
    name = row.label if len(row.label) <= label else row.label[: label - 1] + CUT
    if row.value is None:
        return f"{name:<{label}}  {row.words}"
    return f"{name:<{label}}  {_bar(row, width, most):<{width}}  {row.words}".rstrip()


def _bar(row: Bar, width: int, most: float) -> str:
    """Solid up to the interval's lower end, light up to its upper one: that is one cell at least,
    for no measured value has no width; without an interval solid up to the value."""
    value = row.value or 0.0
    if row.low is None or row.high is None:
        return SOLID * max(1, round(value / most * width))
    high = min(width, max(1, round(row.high / most * width)))
    low = min(high - 1, max(0, round(row.low / most * width)))
    return SOLID * low + RANGE * (high - low)
