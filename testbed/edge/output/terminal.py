# SPDX-License-Identifier: Apache-2.0
"""What the user sees while work goes on: one line a step, on stderr.

A terminal gets a running line with the elapsed time and, when earlier runs of the step
tell, the time that is left. A pipe gets a plain line when a step starts and ends.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TextIO

from testbed.edge.output import journal
from testbed.edge.output.durations import Durations

DONE, FAILED = ("✓", "32"), ("✗", "31")


@dataclass(slots=True)
class Terminal:
    """Progress and notes; `level` is -1 quiet, 0 normal, 1 verbose."""

    level: int = 0
    timings: list[tuple[str, float]] = field(default_factory=list)
    learned: Durations | None = None
    """What earlier runs took; None outside of a checkout."""

    @property
    def live(self) -> bool:
        """Whether a line may be rewritten in place."""
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def say(self, text: str) -> None:
        """Print a line of talk, unless quiet."""
        journal.note(text)
        if self.level >= 0:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Print a line that even -q shows."""
        journal.note(f"! {text}")
        print(f"{_mark('!', '33')} {text}", file=sys.stderr, flush=True)

    @contextmanager
    def step(self, title: str, *, expect_s: float | None = None, kind: str = "") -> Iterator[None]:
        """Show that `title` runs, for how long, and how long it took in the end.

        What is left is told from the last times of this `kind` of step, which is the title where
        none is given; `expect_s` is a guess for the first time.
        """
        kind = kind or title
        expect_s = self._usual_s(kind, expect_s)
        journal.note(f"… {title}")
        start = time.monotonic()
        done = Event()
        ticker = None
        if self.level >= 0:
            if self.live:
                ticker = Thread(target=self._tick, args=(title, start, expect_s, done), daemon=True)
                ticker.start()
            elif expect_s is None or expect_s >= 1:
                about = f" (about {expect_s:.0f} s)" if expect_s else ""
                print(f"… {title}{about}", file=sys.stderr, flush=True)
        outcome = FAILED
        try:
            yield
            outcome = DONE
            if self.learned is not None:
                self.learned.learn(kind, time.monotonic() - start)
        finally:
            done.set()
            if ticker is not None:
                ticker.join()
            took = time.monotonic() - start
            self.took(title, took)
            journal.note(f"{outcome[0]} {title} ({took:.1f} s)")
            if self.level >= 0:
                clear = "\r\x1b[2K" if self.live else ""
                text = f"{clear}{_mark(*outcome)} {title} ({took:.1f} s)"
                print(text, file=sys.stderr, flush=True)

    def _usual_s(self, kind: str, guess_s: float | None) -> float | None:
        usual_s = self.learned.usual_s(kind) if self.learned is not None else None
        return guess_s if usual_s is None else usual_s

    def took(self, title: str, seconds: float) -> None:
        """Note how long something took that has no line of its own."""
        self.timings.append((title, seconds))

    def print_timings(self) -> None:
        """Print what was timed, in the order in which it ended; steps may contain each other."""
        for title, seconds in self.timings:
            print(f"{seconds:8.2f} s  {title}")

    def trial(self, number: int, total: int, block: int, arm: str, left_s: float) -> None:
        """Say which trial runs and how long the rest will take."""
        text = f"trial {number}/{total}  block {block}  {arm:<20} about {left_s:.0f} s left"
        journal.note(text)
        if self.level < 0:
            return
        end = "" if self.live and number < total else "\n"
        clear = "\r\x1b[2K" if self.live else ""
        print(f"{clear}{text}", end=end, file=sys.stderr, flush=True)

    @staticmethod
    def _tick(title: str, start: float, expect_s: float | None, done: Event) -> None:
        while True:
            elapsed = time.monotonic() - start
            text = f"\r\x1b[2K… {title} ({elapsed:.0f} s{_left(elapsed, expect_s)})"
            print(text, end="", file=sys.stderr, flush=True)
            if done.wait(0.5):
                return


def _left(elapsed_s: float, expect_s: float | None) -> str:
    if not expect_s:
        return ""
    if elapsed_s > expect_s + 1:
        return f", usually {expect_s:.0f} s"
    return f", about {max(expect_s - elapsed_s, 0):.0f} s left"


def coloured(stream: TextIO) -> bool:
    """Whether colours may go to a stream: a terminal, and nobody who asked for none."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _mark(symbol: str, colour: str) -> str:
    return f"\x1b[{colour}m{symbol}\x1b[0m" if coloured(sys.stderr) else symbol
