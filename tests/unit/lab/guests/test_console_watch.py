# SPDX-License-Identifier: Apache-2.0
"""A panic on a console ends the waiting, with the lines that led to it."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.guests.agent import Agent
from testbed.edge.guests.guest import Guest
from testbed.lab.guests.console_watch import panic_in, watched
from testbed.model.errors import NoAnswer
from tests.unit.edge.guests.test_guest import told

PANIC = (
    "BUG: unable to handle page fault\nKernel panic - not syncing: Fatal exception\n---[ end ]---\n"
)


class Silent:
    """A channel from which nothing ever comes, until it is closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def sendall(self, data: bytes) -> None:
        """Take it."""

    def makefile(self, _: str) -> Any:
        self.closed.wait(20)
        raise OSError("closed")

    def close(self) -> None:
        self.closed.set()


def test_who_waits_for_a_machine_that_panics_is_told(tmp_path: Path) -> None:
    console = tmp_path / "server-console.log"
    console.write_text("an old Kernel panic - not syncing: of another boot\n")
    agent = Agent("server", Silent())
    threading.Thread(target=agent._listen, daemon=True).start()
    guest = Guest("server", 22, Path("/key"), _agent=agent, _connection=Silent())

    def panic() -> None:
        time.sleep(0.2)
        with console.open("a") as file:
            file.write(PANIC)

    with watched({"server": guest}, tmp_path), pytest.raises(NoAnswer) as caught:
        threading.Thread(target=panic).start()
        guest.uptime_s()
    assert caught.value.message == (
        "server: the connection broke during: its clock (its kernel panicked)"
    )
    assert caught.value.detail == PANIC.strip()
    later = (guest.uptime_s, lambda: guest.run(["true"]), lambda: guest.stop(["testbed-server"]))
    for ask in later:
        with pytest.raises(NoAnswer, match="its kernel panicked"):
            ask()


def test_other_words_on_a_console_end_nothing(tmp_path: Path) -> None:
    console = tmp_path / "server-console.log"
    console.write_text("")
    guest = told({"uptime_s": 3.0})
    with watched({"server": guest}, tmp_path):
        console.write_text("login:\n")
        time.sleep(0.7)
        assert guest.uptime_s() == 3.0


def test_where_a_panic_is_looked_for(tmp_path: Path) -> None:
    console = tmp_path / "console"
    assert panic_in(console, 0) == ""
    console.write_text(PANIC)
    assert panic_in(console, 0) == PANIC.strip()
    assert panic_in(console, len(PANIC)) == ""
