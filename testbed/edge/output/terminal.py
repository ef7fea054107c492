# SPDX-License-Identifier: Apache-2.0
"""The lines that the user sees while work goes on: one a step, on stderr.

A terminal gets a live line with a bar, the elapsed time and, when earlier runs of the step tell,
the time that is left. A pipe gets a plain line when a step starts and ends.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.edge.output import journal, screen
from testbed.edge.output.durations import Durations
from testbed.edge.output.steps import Step
from testbed.edge.output.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from testbed.edge.output.live import Display

DONE, FAILED, CAREFUL = ("✓", "ok", "32"), ("✗", "FAILED", "31"), ("!", "!", "33")
"""Begins of lines: a mark, the same in ASCII, its colour."""


@dataclass(slots=True)
class Terminal:
    """Progress and notes; `level` is -1 quiet, 0 normal, 1 verbose."""

    level: int = 0
    timings: list[tuple[str, float]] = field(default_factory=list)
    learned: Durations | None = None
    """The durations of earlier runs; None outside of a checkout."""
    running: list[Step] = field(default_factory=list)
    """The steps that run, an outer one before those within it."""
    display: "Display | None" = None
    """Their live lines, while there are some."""

    def say(self, text: str) -> None:
        """Print a line of talk, unless quiet."""
        journal.note(text)
        if self.level >= 0:
            screen.put(screen.wrapped(journal.plain(text), sys.stderr))

    def warn(self, text: str) -> None:
        """Print a line that even -q shows."""
        journal.note(f"! {text}")
        words = screen.wrapped(f"! {journal.plain(text)}", sys.stderr)
        screen.put(f"{_mark(CAREFUL)}{words[1:]}")

    @contextmanager
    def step(self, title: str, *, expect_s: float | None = None, kind: str = "") -> Iterator[None]:
        """Show that `title` runs, for how long, and how long it took in the end.

        The time left comes from the last times of this `kind` of step, which is the title where
        none is given; `expect_s` is a guess for the first time.
        """
        kind, title = kind or title, journal.plain(title)
        expect_s = self._usual_s(kind, expect_s)
        journal.note(f"… {title}")
        if not self._is_live and self.level >= 0 and (expect_s is None or expect_s >= 1):
            about = f" (about {expect_s:.0f} s)" if expect_s else ""
            screen.put(f"{'…' if _is_unicode() else '...'} {title}{about}")
        step = Step(title, expect_s)
        with self._shown(step):
            yield
            if self.learned is not None:
                self.learned.learn(kind, step.elapsed_s)

    @contextmanager
    def trials(self) -> Iterator[None]:
        """Show the trials that follow as one step; `trial` tells of each as it begins."""
        step = Step("")
        if self._is_live:
            with self._shown(step):
                yield
                if step.trials:
                    step.title = "1 trial" if step.trials == 1 else f"{step.trials} trials"
        else:
            yield

    def trial(self, number: int, total: int, block: int, arm: str, left_s: float) -> None:
        """Say which trial runs and how long the rest will take."""
        text = f"trial {number}/{total}  block {block}  {arm:<20} about {left_s:.0f} s left"
        journal.note(text)
        if self.level < 0:
            return
        if self._is_live and self.running:
            step = self.running[-1]
            step.title, step.doing = f"trial {number}/{total}  {arm}", ""
            step.trials += 1
            step.expect_s = step.elapsed_s + left_s
        else:
            screen.put(text)

    def doing(self, what: str, who: str = "") -> None:
        """Tell a live terminal what the running step is at, or `who` of those side by side in it.

        "" is nothing any more; then `who` has no line.
        """
        if self.running:
            self.running[-1].now(what, who)

    def took(self, title: str, seconds: float) -> None:
        """Note how long something took that has no line of its own."""
        self.timings.append((title, seconds))

    def print_timings(self) -> None:
        """Print what was timed, in the order in which it ended; steps may contain each other."""
        for title, seconds in self.timings:
            print(f"{seconds:8.2f} s  {title}")

    @property
    def _is_live(self) -> bool:
        return self.level >= 0 and screen.moves(sys.stderr)

    @contextmanager
    def _shown(self, step: Step) -> Iterator[None]:
        """Show a step while it runs, and its line when it has ended."""
        outcome = FAILED
        try:
            self.running.append(step)
            if self._is_live and self.display is None:
                from testbed.edge.output.live import Display

                self.display = Display(
                    sys.stderr, self.running, colour=screen.coloured(sys.stderr),
                    unicode=_is_unicode(),
                )  # fmt: skip
                screen.put_above(self.display.say)
                self.display.start()
            yield
            outcome = DONE
        finally:
            with uninterrupted():
                self._end(step, outcome)

    def _end(self, step: Step, outcome: tuple[str, str, str]) -> None:
        took_s = step.elapsed_s
        self._take_away(step)
        self.took(step.title, took_s)
        said = f"{step.title if outcome is DONE else step.label} ({took_s:.1f} s)"
        journal.note(f"{outcome[0]} {said}")
        if self.level >= 0 and step.title:
            screen.put(f"{_mark(outcome)} {said}")

    def _take_away(self, step: Step) -> None:
        """Take a step's line away; with the last one all that moves is gone."""
        others = [one for one in self.running if one is not step]
        if self.display is not None and not others:
            screen.put_above(None)
            self.display.stop()  # rich counts the lines to take away: they are still there
            self.display = None
        self.running[:] = others

    def _usual_s(self, kind: str, guess_s: float | None) -> float | None:
        usual_s = self.learned.usual_s(kind) if self.learned is not None else None
        return guess_s if usual_s is None else usual_s


def _is_unicode() -> bool:
    return screen.is_unicode(sys.stderr)


def _mark(outcome: tuple[str, str, str]) -> str:
    symbol, ascii_symbol, colour = outcome
    shown = symbol if _is_unicode() else ascii_symbol
    return f"\x1b[{colour}m{shown}\x1b[0m" if screen.coloured(sys.stderr) else shown
