# SPDX-License-Identifier: Apache-2.0
"""One job of the agent: a process group of its own, a line of shell or a program in a fork."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import client
import facts  # noqa: F401  # snapshot's own import would wait for the fork
import gate
import server
import snapshot
from network import Namespace
from streams import Stream

PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "client": client.main,
    "gate": gate.main,
    "server": server.main,
    "snapshot": snapshot.main,
}


@dataclass(slots=True)
class Job:
    """A process and its group. `answered`: nothing more is to be said of it.

    `late`: its time limit ended it, `cut`: that it printed too much did.
    """

    id: int
    pid: int
    name: str
    streams: tuple[Stream, Stream]
    stop_signal: int
    deadline: float
    notify: socket.socket | None = None
    answered: bool = False
    late: bool = False
    cut: bool = False

    def said(self) -> dict[str, Any]:
        """Return its output, and how it ended, for its answer."""
        out, err = (stream.text() for stream in self.streams)
        said = {"stdout": out, "stderr": err, "late": self.late, "cut": self.cut}
        if self.late and (left := left_behind(self)):  # sh died, and not what it had started
            said["stuck"] = left
        return said

    def beyond(self) -> None:
        """It printed too much."""
        self.cut = True
        kill(self, signal.SIGKILL)


def kill(job: Job, number: int) -> None:
    """Send a signal to a job and to all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(job.pid, number)


def where_it_waits(job: Job) -> str:
    """Tell of a job that SIGKILL did not end where its processes are in the kernel."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            name, _, rest = (process / "stat").read_text().rpartition(") ")
            state, _, group = rest.split()[:3]
            if int(group) == job.pid and state != "Z":
                found.append(f"{name.partition('(')[2]}, state {state}, in the kernel:\n")
                found.append((process / "stack").read_text())
    return "".join(found)


def left_behind(job: Job) -> str:
    """Return `where_it_waits` for what SIGKILL has not ended after a second; "" for nothing."""
    for _ in range(10):
        if not (found := where_it_waits(job)):
            return ""
        time.sleep(0.1)
    return found


def spawn(line: str, streams: tuple[Stream, Stream]) -> int:
    """Start sh without copying this process's pages, which vfork spares; returns its id."""
    null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    places = [(os.POSIX_SPAWN_DUP2, one.writer, place) for place, one in enumerate(streams, 1)]
    return os.posix_spawn(
        "/bin/sh", ["sh", "-c", line], os.environ,
        file_actions=[null, *places], setpgroup=0, setsigdef=[signal.SIGCHLD, signal.SIGPIPE],
    )  # fmt: skip


def run_program(
    request: dict[str, Any], streams: tuple[Stream, Stream], notify: socket.socket | None
) -> None:
    """In the forked process: do the job and end with its exit code. Never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for place, stream in enumerate(streams, 1):
            os.dup2(stream.writer, place)
        if notify is not None:
            os.environ["NOTIFY_SOCKET"] = notify.getsockname()
        if name := request.get("name"):
            Path("/proc/self/comm").write_text(name, encoding="ascii")
        if namespace := request.get("namespace"):
            Namespace(namespace).enter()
        sys.argv = [f"{request['program']}.py"]
        status = PROGRAMS[request["program"]](request["arguments"])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
