# SPDX-License-Identifier: Apache-2.0
"""A job's bound on output, and one that no signal ends: the agent tells, and goes on."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.edge.guests.agent import Agent
from testbed.edge.guests.guest import Guest
from testbed.model.errors import Late, NoAnswer, Stuck
from tests import PROJECT
from tests.unit.factories.agent_pipes import Pipes, gone
from tests.unit.factories.fakes import LocalShell, guest

GUEST = PROJECT / "guest"
IMMORTAL = """
import agent, job
agent.kill = job.kill = lambda *_: None
agent.PATIENCE_S = 1.2
agent.Agent().serve()
"""


def started(*argv: str) -> Iterator[Guest]:
    process = subprocess.Popen(
        [sys.executable, *argv], cwd=GUEST, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    talk = Agent("server", Pipes(process)).start(timeout_s=20)
    yield Guest("server", 22, Path("/key"), _connection=talk, _agent=talk)
    talk.close()
    assert process.wait(timeout=10) == 0


@pytest.fixture
def server() -> Iterator[Guest]:
    """A guest whose agent is a process here."""
    yield from started("agent.py")


@pytest.fixture
def immortal() -> Iterator[Guest]:
    """One whose jobs no signal reaches, as none reaches what waits in the kernel."""
    yield from started("-c", IMMORTAL)


def local(folder: Path) -> Guest:
    """A guest without an agent, as the counting machine is: root's login shell is bash."""

    class Bash(LocalShell):
        def run(self, line: str, **more: object) -> object:
            return super().run(f"exec bash -c {shlex.quote(line)}", **more)

    return guest(Bash(folder))


@pytest.mark.parametrize(
    "words",
    [["yes"], ["sh", "-c", "yes >&2"], ["sh", "-c", "trap '' PIPE; yes 2>/dev/null"],
     ["head", "-c", "300000000", "/dev/zero"]],
)  # fmt: skip
def test_endless_output_is_ended(server: Guest, tmp_path: Path, words: list[str]) -> None:
    for where in (server, local(tmp_path)):
        begun = time.monotonic()
        done = where.run_all([words], check=False, most_bytes=1 << 20)
        assert done.cut
        assert len(done.stdout) + len(done.stderr) <= (1 << 20) + 200
        assert time.monotonic() - begun < 10
        assert where.run(["echo", "here"]).stdout == "here\n"


def test_output_within_its_bound_is_whole(server: Guest, tmp_path: Path) -> None:
    for where in (server, local(tmp_path)):
        argv = ["sh", "-c", "seq 1000; seq 2000 >&2; exit 3"]
        done = where.run_all([argv], check=False, most_bytes=1 << 20)
        assert (done.status, done.cut) == (3, False)
        assert done.stdout == "".join(f"{n}\n" for n in range(1, 1001))
        assert done.stderr == "".join(f"{n}\n" for n in range(1, 2001))


def test_what_a_job_leaves_running_is_not_waited_for(server: Guest) -> None:
    begun = time.monotonic()
    done = server.run(["sh", "-c", "setsid sleep 40 & echo $!"])
    assert time.monotonic() - begun < 20
    os.kill(int(done.stdout), signal.SIGKILL)


def readable(path: Path) -> bytes:
    """Return a file of a process, which may have ended meanwhile."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_many_jobs_leave_no_descriptor_open(server: Guest) -> None:
    def descriptors() -> int:
        return int(server.run(["sh", "-c", "ls /proc/$PPID/fd | wc -l"]).stdout)

    first = descriptors()
    for _ in range(20):
        server.run(["echo", "here"])
    assert descriptors() == first


def test_what_no_signal_ends_is_told_with_its_place_in_the_kernel(immortal: Guest) -> None:
    begun = time.monotonic()
    with pytest.raises(Stuck) as caught:
        immortal.run(["sleep", "40.25"], timeout_s=0.2)
    assert time.monotonic() - begun < 20
    assert caught.value.message == (
        "server: no end after 0.2 s, and it cannot be killed: sleep 40.25"
    )
    assert "sleep, state S, in the kernel:" in caught.value.detail
    assert immortal.run(["echo", "here"]).stdout == "here\n"
    (pid,) = (
        int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline")
        if readable(path) == b"sleep\x0040.25\0"
    )  # fmt: skip
    os.kill(pid, signal.SIGKILL)  # it ends at last, and is answered for no more
    while not gone(pid):
        time.sleep(0.01)
    assert immortal.run(["echo", "here"]).stdout == "here\n"


def test_what_is_late_is_killed(server: Guest) -> None:
    with pytest.raises(Late, match=r"server: no end after 0\.2 s: sleep 60") as caught:
        server.run(["sleep", "60"], timeout_s=0.2)
    assert not isinstance(caught.value, Stuck)
    assert isinstance(caught.value, NoAnswer)


def test_what_no_signal_ends_below_a_shell_that_died(immortal: Guest) -> None:
    """As `sh -c "rmmod …"`: the shell ends with its signal, `rmmod` waits in the kernel."""
    line = "sleep 4 & sleep 0.7"
    with pytest.raises(Stuck) as caught:
        immortal.run(["sh", "-c", line], timeout_s=0.2)
    assert caught.value.detail.count("sleep, state S, in the kernel:") == 1
