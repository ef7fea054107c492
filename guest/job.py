# SPDX-License-Identifier: Apache-2.0
"""One job of the agent: a process group of its own, a line of shell or a program in a fork."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import client
import facts  # noqa: F401  # snapshot's own import would wait for the fork
import oracle
import server
import snapshot
from network import Namespace

PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "client": client.main,
    "oracle": oracle.main,
    "server": server.main,
    "snapshot": snapshot.main,
}


@dataclass(slots=True)
class Job:
    """A process and its group. `answered`: nothing more is to be said of it."""

    id: int
    pid: int
    name: str
    files: tuple[int, int]
    stop_signal: int
    deadline: float
    notify: socket.socket | None = None
    answered: bool = False
    late: bool = False


def kill(job: Job, number: int) -> None:
    """Send a signal to a job and to all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(job.pid, number)


def output_files(output: str | None) -> tuple[int, int]:
    """Where stdout and stderr go: a file and NAME.err beside it, or memory that is read later."""
    if output is None:
        return os.memfd_create("stdout"), os.memfd_create("stderr")
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    return (
        os.open(output, flags | os.O_TRUNC, 0o600),
        os.open(Path(output).with_suffix(".err"), flags | os.O_APPEND, 0o600),
    )


def content(file: int) -> str:
    """Return the text that was written to a file, and close the file."""
    with open(file, "rb") as stream:
        stream.seek(0)
        return stream.read().decode(errors="replace")


def spawn(line: str, files: tuple[int, int]) -> int:
    """Start sh without copying this process's pages, which vfork spares; returns its id."""
    null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    places = [(os.POSIX_SPAWN_DUP2, file, place) for place, file in enumerate(files, 1)]
    return os.posix_spawn(
        "/bin/sh", ["sh", "-c", line], os.environ,
        file_actions=[null, *places], setpgroup=0, setsigdef=[signal.SIGCHLD, signal.SIGPIPE],
    )  # fmt: skip


def run_program(
    request: dict[str, Any], files: tuple[int, int], notify: socket.socket | None
) -> None:
    """In the forked process: do the job and end with its exit code. Never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for place, file in enumerate(files, 1):
            os.dup2(file, place)
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
