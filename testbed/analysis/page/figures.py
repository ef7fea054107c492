# SPDX-License-Identifier: Apache-2.0
"""All figures of a report. None needs another, so they may be drawn side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from testbed.analysis.conclusions.comparison import Comparison, excluded_arms
from testbed.analysis.page.judged import Judged
from testbed.analysis.plots import (
    Drawing,
    draw_comparison,
    draw_cpu_time,
    draw_ledger,
    draw_overlay,
    draw_per_cpu,
)
from testbed.analysis.reading.records import Run

Drawings = tuple[Drawing, ...]
Piece = Callable[[], Drawings]
"""Draws one figure, in as many parts as keep a part on a page; none where nothing is to draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The drawings of a page."""

    comparison: Drawings
    ledger: Drawings
    ledger_narrow: Drawings
    cpu_time: dict[str, Drawings]
    """By arm, as `per_cpu`."""
    per_cpu: dict[str, Drawings]
    beside: Drawing | None

    def every(self) -> list[Drawing]:
        of_the_run = (self.comparison, self.ledger, self.ledger_narrow)
        groups = (*of_the_run, *self.cpu_time.values(), *self.per_cpu.values())
        drawings = [drawing for group in groups for drawing in group]
        return drawings if self.beside is None else [*drawings, self.beside]


def in_turn(pieces: Sequence[Piece]) -> list[Drawings]:
    """One after the other, in this process."""
    return [piece() for piece in pieces]


def draw_figures(
    judged: Judged,
    *,
    overlay: bool = False,
    per_cpu: bool = False,
    each: Callable[[Sequence[Piece]], list[Drawings]] = in_turn,
) -> Figures:
    """Draw what the run has; `each` draws the pieces and returns their drawings in that order."""
    run, arms = judged.run, judged.run.arms
    pieces: list[Piece] = [
        partial(_comparison, judged),
        partial(draw_ledger, run),
        partial(draw_ledger, run, narrow=True),
        *(partial(draw_cpu_time, run, arm) for arm in arms),
        *(partial(draw_per_cpu, run, arm) for arm in arms if per_cpu),
        *([partial(_beside, run)] if overlay else []),
    ]
    drawn = iter(each(pieces))
    return Figures(
        comparison=next(drawn),
        ledger=next(drawn),
        ledger_narrow=next(drawn),
        cpu_time={arm.name: next(drawn) for arm in arms},
        per_cpu={arm.name: next(drawn) if per_cpu else () for arm in arms},
        beside=next(iter(next(drawn, ())), None),
    )


def _comparison(judged: Judged) -> Drawings:
    run, comparisons = judged.run, judged.comparisons
    excluded = excluded_arms(run, judged.findings)
    return draw_comparison(
        run,
        excluded,
        relative=bool(comparisons) and not excluded,
        bands=bool(comparisons),
        warning=warning_of(comparisons),
    )


def warning_of(comparisons: tuple[Comparison, ...]) -> str:
    """What is written on the chart of costs; nothing where every comparison is beyond doubt."""
    suspect = [c for c in comparisons if c.suspect and c.ratio]
    if not suspect:
        return ""
    which = "all comparisons" if len(suspect) == len(comparisons) else "some comparisons"
    return f"SUSPECT: {which} are in doubt, see the findings"


def _beside(run: Run) -> Drawings:
    drawing = draw_overlay(run)
    return () if drawing is None else (drawing,)
