# SPDX-License-Identifier: Apache-2.0
"""A kernel's last words on its console, read at once, since nobody else tells.

After a panic or on a CPU that never returns, the SSH connection stays open without a word, and a
command would wait for its time limit. The kernel's own settings stay as they are: with
`softlockup_panic` or a shorter `watchdog_thresh` another kernel would be measured, and to read is
enough.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.edge.hypervisor.states import RUNNING

EVERY_S = 0.5
"""The console's file is looked at so often: one `stat`, a few microseconds."""
WHOLE_S = 3.0
"""A report of 60 lines takes less on an emulated serial line; then it is read as it is."""
SEEN_S = 4.0
"""After the connection broke: the kernel looks for a CPU that hangs every 4 s."""
TAIL_BYTES = 1 << 18
BEFORE_LINES, MOST_LINES = 5, 40
"""The lines that are shown: those that led to it, and the first and the last of the report."""
PANIC = re.compile(rb"Kernel panic - not syncing")
KINDS = (
    (PANIC, "panicked"),
    (re.compile(rb"BUG: soft lockup"), "has a CPU that does not come back (soft lockup)"),
    (re.compile(rb"hard LOCKUP"), "has a CPU that does not come back (hard lockup)"),
    (re.compile(rb"BUG: scheduling while atomic"), "slept where it must not"),
    (
        re.compile(rb"kernel BUG at |BUG: (kernel NULL|unable to)|: [0-9a-f]{4} \[#\d+\]"),
        "had an oops",
    ),
    (re.compile(rb"INFO: task .{1,80} blocked for more than \d+ s"), "has a hung task"),
)
"""The name of each, the worst first: an oops in an interrupt becomes a panic. `[#1]` is what
die() of arch/x86/kernel/dumpstack.c prints for every kind of trap. These lines have level 3 or
worse, so that a console that is `quiet` shows them too."""
BOOTED = re.compile(rb"^\S+ login: ", re.MULTILINE)


@dataclass(frozen=True)
class Trouble:
    """Why a kernel cannot be used any more: "its kernel …", and its lines."""

    what: str
    words: str


@dataclass(frozen=True)
class Watch:
    """One machine's console, from where it stood when a command began.

    `state` asks libvirt for the machine's.
    """

    console: Path
    start: int
    state: Callable[[], str] = lambda: RUNNING

    def trouble(self, wait_s: float = 0.0) -> Trouble | None:
        """Return what has happened since, whole; `wait_s` is how long it may take to appear."""
        deadline = time.monotonic() + wait_s
        while (found := trouble_in(self.console, self.start)) is None:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.1)
        size, deadline = -1, time.monotonic() + WHOLE_S
        while size != (size := size_of(self.console)) and time.monotonic() < deadline:
            time.sleep(EVERY_S)
        return trouble_in(self.console, self.start) or found


def trouble_in(console: Path, start: int) -> Trouble | None:
    """Return the worst that a console tells behind a place of the file; None for nothing."""
    text = _read(console, start)
    found = [(what, match) for kind, what in KINDS if (match := kind.search(text))]
    if not found:
        return None
    first = min(match.start() for _, match in found)
    return Trouble(found[0][0], _lines(text, first))


def is_panicked(console: Path) -> bool:
    """Whether a machine that runs has panicked and was not started again since."""
    text = _read(console, max(0, size_of(console) - TAIL_BYTES))
    panics = list(PANIC.finditer(text))
    return bool(panics) and BOOTED.search(text, panics[-1].end()) is None


def _lines(text: bytes, place: int) -> str:
    """Return the lines around a place: some before it, and what comes then."""
    before = text[:place].splitlines(keepends=True)
    start = sum(map(len, before[: -BEFORE_LINES - 1]))
    words = text[start:].decode(errors="replace")
    lines = [line.rstrip() for line in words.splitlines() if line.strip()]
    if (more := len(lines) - MOST_LINES) > 0:
        lines[25 : 25 + more] = [f"… {more:,} lines left out …"]
    return "\n".join(lines)


def _read(console: Path, start: int) -> bytes:
    try:
        with console.open("rb") as file:
            file.seek(start)
            return file.read()
    except OSError:
        return b""


def size_of(path: Path) -> int:
    """Return a file's length; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
