# SPDX-License-Identifier: Apache-2.0
"""The layout of the ledger's drawing (ledger.py): hops, rows and notes, in pixels."""

import textwrap
from dataclasses import dataclass

from testbed.analysis.measures.hops import ORDER, SENT, UNIQUE
from testbed.analysis.measures.ledger import Ledger, Step
from testbed.analysis.reading.records import Arm

WIDE, NARROW = 760, 360
RIVER = 26.0
TITLE, COUNTS, LINE, GAP = 20.0, 16.0, 14.0, 14.0
CHARACTER = 6.7
"""Width of a character of SMALL_PX in DejaVu Sans, generously."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An uneven step: where its mark stands, and what is said of it, in lines that fit."""

    step: Step
    x: float
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One arm: its ledger, its colour, its notes. `beside`: the only note stands at its mark,
    to the "right" or to the "left" of it; notes without the room are a list below, by letter."""

    arm: Arm
    colour: str
    book: Ledger | None
    notes: tuple[Note, ...]
    beside: str

    @property
    def height(self) -> float:
        lines = sum(len(note.lines) for note in self.notes)
        below = 0 if not lines else 1 if self.beside else lines + 1
        return TITLE + COUNTS + RIVER + LINE * below + GAP


def places_of(width: int) -> dict[str, float]:
    """The middle of each hop."""
    margin = 42.0 if width == WIDE else 22.0
    gap = (width - 2 * margin) / (len(ORDER) - 1)
    return {name: margin + gap * index for index, name in enumerate(ORDER)}


def row_of(arm: Arm, colour: str, book: Ledger | None, places: dict[str, float]) -> LedgerRow:
    width = places[SENT] + places[UNIQUE]
    uneven = [step for step in book.steps if step.lost] if book else []
    notes = tuple(_note(step, places, width) for step in uneven)
    beside = ""
    if len(notes) == 1 and len(notes[0].lines) == 1:
        length = 9 + CHARACTER * len(notes[0].lines[0])
        if notes[0].x + length < width:
            beside = "right"
        elif notes[0].x > length:
            beside = "left"
    return LedgerRow(arm=arm, colour=colour, book=book, notes=notes, beside=beside)


def _note(step: Step, places: dict[str, float], width: float) -> Note:
    sign = "\u2212" if step.lost > 0 else "+"
    said = f"{sign}{abs(step.lost):,} ({_share(step)}): {step.reason or 'more than before'}"
    lines = textwrap.wrap(said, int((width - 36) / CHARACTER))
    return Note(step=step, x=(places[step.start] + places[step.end]) / 2, lines=tuple(lines))


def _share(step: Step) -> str:
    """Two digits of a small share; one place of a large one, which is never rounded to all."""
    percent = abs(step.share) * 100
    if 99.95 <= percent < 100:
        return f"{min(percent, 99.99):.2f}\u00a0%"
    return f"{percent:.1f}\u00a0%" if percent >= 1 else f"{percent:.2g}\u00a0%"
