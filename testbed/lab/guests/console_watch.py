# SPDX-License-Identifier: Apache-2.0
"""A kernel that panics says so on its console, and then nothing more: nobody else would tell.

Its SSH connection stays open without a word, so that a command would wait for its time limit.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event, Thread

from testbed.edge.guests.guest import Guest

EVERY_S = 0.5
"""The console's file is looked at so often: one `stat`, a few microseconds."""
PANIC = b"Kernel panic - not syncing"
BEFORE_BYTES = 3000
"""What is shown of the console before the panic: why it came to that."""


@contextlib.contextmanager
def watched(guests: Mapping[str, Guest], folder: Path) -> Iterator[None]:
    """Let whoever waits for a guest know at once when its kernel panics, with its last words."""
    over = Event()
    consoles = {role: folder / f"{role}-console.log" for role in guests}
    begun = {role: _size(path) for role, path in consoles.items()}

    def watch() -> None:
        seen = dict(begun)
        while not over.wait(EVERY_S):
            for role, path in consoles.items():
                size = _size(path)
                if size != seen[role]:
                    seen[role] = size
                    if words := panic_in(path, begun[role]):
                        guests[role].give_up(f"its kernel panicked:\n{words}")

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def panic_in(console: Path, start: int) -> str:
    """Return the lines around a panic behind a place of the file; empty when there is none."""
    try:
        with console.open("rb") as file:
            file.seek(start)
            text = file.read()
    except OSError:
        return ""
    if PANIC not in text:
        return ""
    words = text[max(0, text.index(PANIC) - BEFORE_BYTES) :].decode(errors="replace")
    return "\n".join(line.rstrip() for line in words.splitlines()[-25:] if line.strip())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
