# SPDX-License-Identifier: Apache-2.0
"""The lines that move while steps run: one a step, one for each machine that works beside others.

rich draws them, and is loaded when the first step is shown, so a command that shows none stays
quick. Its cursor stays visible: a command that is killed leaves the terminal as it was.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from testbed.edge.output.steps import Step
from testbed.edge.output.uninterrupted import uninterrupted

PER_SECOND = 2
"""A time in whole seconds needs no more. A picture takes 0.7 ms of a CPU."""
MARGIN = 3
"""Columns left empty: `^C`, which the terminal itself writes at the cursor, must not wrap."""
NARROW, WIDE = 56, 76
"""Columns from which there is room for a bar, and for a longer one."""
SHORT_BAR, LONG_BAR = 10, 18
CLEAN = "\r\x1b[2K\x1b[?25h"
"""To the line's beginning, which is emptied; the cursor is shown."""


class _Console(Console):
    """A console that draws with ASCII alone where the locale has no more."""

    is_unicode = True

    @property
    def encoding(self) -> str:
        return super().encoding if self.is_unicode else "ascii"


class Display:
    """The live lines of the steps in `steps`, which is read anew for each picture."""

    def __init__(
        self, stream: TextIO, steps: Sequence[Step], *, colour: bool, unicode: bool
    ) -> None:
        self._stream, self._steps = stream, steps
        self._console = _Console(
            file=stream, force_terminal=True, no_color=not colour, highlight=False,
            markup=False, emoji=False,
        )  # fmt: skip
        self._console.is_unicode = unicode
        self._live = Live(
            console=self._console, get_renderable=self.picture, transient=True,
            redirect_stdout=False, redirect_stderr=False, refresh_per_second=PER_SECOND,
        )  # fmt: skip

    def start(self) -> None:
        """Draw the lines for the first time, and again from now on."""
        with uninterrupted():
            self._live.start(refresh=True)
            self._console.show_cursor(True)

    def say(self, text: str) -> None:
        """Print a line above the live ones; the terminal wraps it, and a copy of it has no gaps."""
        with uninterrupted():  # what rich has written and not yet forgotten it would write again
            self._console.print(Text.from_ansi(text), soft_wrap=True)
            self._live.refresh()

    def stop(self) -> None:
        """Take the lines away; the terminal is clean afterwards."""
        with uninterrupted(), suppress(IndexError):  # of one that has not begun to be live
            self._live.stop()
        self._stream.write(CLEAN)
        self._stream.flush()

    def picture(self) -> RenderableType:
        """Return the lines as they are now, as wide as the terminal is now."""
        width = max(20, self._console.width - MARGIN)
        bar = LONG_BAR if width >= WIDE else SHORT_BAR if width >= NARROW else 0
        about = "about " if width >= WIDE else ""
        table = Table.grid(padding=(0, 2, 0, 0), expand=True, pad_edge=False)
        table.width = width
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        if bar:
            table.add_column(width=bar, no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        for label, share, times in self._rows(about):
            drawn: RenderableType = ""
            if share is not None:
                drawn = ProgressBar(
                    total=1.0, completed=share, width=bar, style="bright_black",
                    complete_style="cyan", finished_style="cyan",
                )  # fmt: skip
            table.add_row(Text(label), *[drawn] * bool(bar), Text(times, style="dim"))
        return table

    def _rows(self, about: str) -> Iterator[tuple[str, float | None, str]]:
        """Return label, share of the time and times of each line."""
        mark = "…" if self._console.is_unicode else "-"
        for step in list(self._steps):
            yield f"{mark} {step.label}", step.share(), step.times(about)
            for one in list(step.beside.values()):
                yield f"    {one.label}", None, one.times(about)
