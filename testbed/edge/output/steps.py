# SPDX-License-Identifier: Apache-2.0
"""A step that runs: its title, what it is at, how long it has run and may still take."""

import time
from dataclasses import dataclass, field

LATE_S = 1.0
"""So long after its usual time a step is late, and nobody knows what is left."""


@dataclass(slots=True)
class Step:
    """A step and, for each that works side by side in it, what that one does."""

    title: str
    expect_s: float | None = None
    """How long it takes in all, as far as is known."""
    begun: float = field(default_factory=time.monotonic)
    doing: str = ""
    trials: int = 0
    """So many have begun in it."""
    beside: dict[str, "Step"] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Return the title, and what the step is at."""
        return f"{self.title}: {self.doing}" if self.doing else self.title

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self.begun

    def now(self, what: str, who: str = "") -> None:
        """Note what the step is at, or `who` in it; nothing where that one is done."""
        if not who:
            self.doing = what
        elif what:
            self.beside[who] = Step(who, doing=what)
        else:
            self.beside.pop(who, None)

    def share(self) -> float | None:
        """Return how much of its time has passed, 1 at most; None when that is not known."""
        return min(self.elapsed_s / self.expect_s, 1.0) if self.expect_s else None

    def times(self, about: str = "about ") -> str:
        """Return the time that has passed and that is left, in words; `about` may be left out."""
        elapsed_s = self.elapsed_s
        return f"{clock(elapsed_s)}{left(elapsed_s, self.expect_s, about)}"


def left(elapsed_s: float, expect_s: float | None, about: str = "about ") -> str:
    """Return how long a step may still take, in words; of a late one how long it usually takes."""
    if not expect_s:
        return ""
    if elapsed_s > expect_s + LATE_S:
        return f", usually {clock(expect_s)}"
    return f", {about}{clock(max(expect_s - elapsed_s, 0))} left"


def clock(seconds: float) -> str:
    """Return a time: 31 s, 1:31, 1:00:31."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
