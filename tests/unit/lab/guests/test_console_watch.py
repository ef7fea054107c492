# SPDX-License-Identifier: Apache-2.0
"""A kernel's words on its console end the waiting, with the lines that led to it."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.guests.agent import Agent
from testbed.edge.guests.guest import Guest
from testbed.lab.guests.console import Trouble, Watch, is_panicked, trouble_in
from testbed.lab.guests.console_watch import watched
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


def trouble(tmp_path: Path, text: str, start: int = 0) -> Trouble | None:
    console = tmp_path / "console"
    console.write_text(text)
    return trouble_in(console, start)


def test_where_a_panic_is_looked_for(tmp_path: Path) -> None:
    assert trouble_in(tmp_path / "none", 0) is None
    assert trouble(tmp_path, PANIC) == Trouble("panicked", PANIC.strip())
    assert trouble(tmp_path, PANIC, len(PANIC)) is None


# As Linux 6.1 wrote them on consoles of this testbed's servers.
OOPS = """\
BUG: kernel NULL pointer dereference, address: 0000000000000008
#PF: supervisor write access in kernel mode
#PF: error_code(0x0002) - not-present page
PGD 0 P4D 0
Oops: 0002 [#1] PREEMPT SMP NOPTI
CPU: 0 PID: 812 Comm: insmod Tainted: G           OE      6.1.0-56-amd64
RIP: 0010:redirect_init+0x23/0x1000 [m_i_oops]
"""
LOCKUP = "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [swapper/0:0]\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (OOPS, "had an oops"),
        ("kernel BUG at m.c:7!\ninvalid opcode: 0000 [#1] PREEMPT SMP NOPTI\n", "had an oops"),
        ("general protection fault, probably for …: 0000 [#1] PREEMPT SMP\n", "had an oops"),
        (OOPS + "Kernel panic - not syncing: Fatal exception in interrupt\n", "panicked"),
        (LOCKUP, "has a CPU that does not come back (soft lockup)"),
        ("INFO: task rmmod:901 blocked for more than 120 seconds.\n", "has a hung task"),
        ("BUG: scheduling while atomic: swapper/0/0/0x00000100\n", "slept where it must not"),
        ("BUG: workqueue lockup - pool cpus=0 stuck for 31s!\n", None),  # of a busy host, too
        ("Out of memory: Killed process 1 (testbed-server)\n", None),
        ("testbed login: \n", None),
    ],
)
def test_each_kind_of_trouble(tmp_path: Path, text: str, what: str | None) -> None:
    found = trouble(tmp_path, f"before\n{text}after\n")
    assert (found and found.what) == what
    if found is not None:
        assert found.words == f"before\n{text}after"


def test_a_long_report_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(200)]
    found = trouble(tmp_path, "\n".join([*"abcdefgh", LOCKUP.strip(), *lines]))
    assert found is not None
    shown = found.words.splitlines()
    assert shown[:6] == [*"defgh", LOCKUP.strip()]
    assert (shown[25], shown[-1], len(shown)) == ("… 166 lines left out …", "line 199", 41)


def test_a_report_is_read_when_it_is_whole(tmp_path: Path) -> None:
    console = tmp_path / "console"
    console.write_text("")

    def report() -> None:
        time.sleep(0.3)
        for line in OOPS.splitlines(keepends=True):
            with console.open("a") as file:
                file.write(line)
            time.sleep(0.05)

    thread = threading.Thread(target=report)
    thread.start()
    found = Watch(console, 0).trouble(wait_s=5)
    thread.join()
    assert found == Trouble("had an oops", OOPS.strip())
    assert Watch(console, len(OOPS)).trouble(wait_s=0.2) is None


@pytest.mark.parametrize("dies", ["server", "client"])
def test_the_client_is_given_up_with_the_server(tmp_path: Path, dies: str) -> None:
    silent = {role: Silent() for role in ("client", "server")}
    guests = {}
    for role, channel in silent.items():
        agent = Agent(role, channel)
        threading.Thread(target=agent._listen, daemon=True).start()
        guests[role] = Guest(role, 22, Path("/key"), _agent=agent, _connection=channel)
    with watched(guests, tmp_path), pytest.raises(NoAnswer) as caught:
        (tmp_path / f"{dies}-console.log").write_text(LOCKUP)
        guests["client"].uptime_s()
    whose = {"server": "the server's", "client": "its"}[dies]
    said = f"{whose} kernel has a CPU that does not come back (soft lockup)"
    assert caught.value.message == f"client: the connection broke during: its clock ({said})"
    assert guests["server"].given_up is (dies == "server")
    silent["server"].close()


def test_a_machine_that_panicked_does_not_run(tmp_path: Path) -> None:
    console = tmp_path / "console"
    assert not is_panicked(console)
    console.write_text(f"testbed login: \n{PANIC}")
    assert is_panicked(console)
    console.write_text(f"{PANIC}\n\nDebian GNU/Linux 12 testbed ttyS0\n\ntestbed login: ")
    assert not is_panicked(console)
    console.write_text(OOPS)
    assert not is_panicked(console)
