# SPDX-License-Identifier: Apache-2.0
"""Whoever waits for a guest is told at once when its kernel cannot go on, as its console says."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from threading import Event, Thread

from testbed.edge.guests.guest import Guest
from testbed.edge.hypervisor.states import RUNNING
from testbed.lab.guests.console import EVERY_S, Trouble, Watch, size_of


@contextlib.contextmanager
def watched(
    guests: Mapping[str, Guest], folder: Path, states: Callable[[], Mapping[str, str]] = dict
) -> Iterator[None]:
    """Let whoever waits for a guest know at once when its kernel is in trouble, with its words.

    With the server the client is given up, too: what it sends is of no use, and ends with its
    agent. A server whose client died is left as it is, since the arm in it has to be unloaded.
    """
    over = Event()
    for role, guest in guests.items():
        console = folder / f"{role}-console.log"
        guest.watch = Watch(console, size_of(console), partial(_state, states, role))

    def look() -> None:
        seen = {role: guest.watch.start for role, guest in guests.items()}
        while not over.wait(EVERY_S):
            for role, guest in guests.items():
                size = size_of(guest.watch.console)
                if size != seen[role]:
                    seen[role] = size
                    if trouble := guest.watch.trouble():
                        _give_up(guests, role, trouble)
                        return

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _state(states: Callable[[], Mapping[str, str]], role: str) -> str:
    return states().get(role, RUNNING)


def _give_up(guests: Mapping[str, Guest], role: str, trouble: Trouble) -> None:
    guests[role].give_up(f"its kernel {trouble.what}:\n{trouble.words}")
    if role == "server" and "client" in guests:
        guests["client"].give_up(f"the server's kernel {trouble.what}")
