# SPDX-License-Identifier: Apache-2.0
"""A command that may outlive this program, as on SIGKILL: it is written down before it begins.

The note names the process by its id and the moment of its start, so that a later command finds
that very process, and never ends one that got its id afterwards.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.model.errors import ParseError
from testbed.model.json_node import Node, parse_json

PROC = Path("/proc")
NOTE = "at-work.json"
"""In the folder that the command works on."""
GATE = 'read -r _ && exec "$@" </dev/null'
"""The shell waits for a line before it becomes the command; without this program none comes."""
PATIENCE_S = 30.0
"""An interrupted Vagrant undoes what it has half done: in some seconds, on a busy host in more."""


@dataclass(frozen=True)
class Started:
    """A process: `ticks` is the moment of its start in the kernel's ticks, within one boot."""

    pid: int
    ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Started":
        """Return what names a process that runs. Raises OSError when there is none."""
        return cls(pid, int(_fields(pid)[19]), _boot())

    @property
    def runs(self) -> bool:
        """Whether this very process still runs; one that waits to be buried does not."""
        try:
            fields = _fields(self.pid)
            same = int(fields[19]) == self.ticks and self.boot == _boot()
            return same and fields[0] not in ("Z", "X")
        except (OSError, ValueError, IndexError):
            return False


@dataclass(frozen=True)
class Lasting:
    """A command that leads a process group of its own, and the program that started it."""

    what: str
    process: Started
    owner: Started

    @property
    def is_left(self) -> bool:
        """Whether it runs, or its children do, and the program that started it does not."""
        return self.process.runs and not self.owner.runs

    def end(self) -> None:
        """End it with its children: asked first, made to after `PATIENCE_S`."""
        for number, limit_s in ((signal.SIGINT, PATIENCE_S), (signal.SIGKILL, 5.0)):
            if self.process.runs:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.process.pid, number)
            deadline = time.monotonic() + limit_s
            while self.process.runs and time.monotonic() < deadline:
                time.sleep(0.05)


def left(note: Path, account: Account) -> Lasting | None:
    """Return the command of a note that runs though its program has ended; None without one.

    The account may write the note: only a process of its own is believed to be meant.
    """
    found = read(note)
    if found is None or not found.is_left:
        return None
    try:
        pid = found.process.pid
        mine = (PROC / str(pid)).stat().st_uid == account.uid and os.getpgid(pid) == pid
    except OSError:
        return None
    return found if mine else None


def read(note: Path) -> Lasting | None:
    """Return what a note says, None where there is none that can be understood."""
    try:
        node = parse_json(note.read_text(encoding="utf-8"), note.name)
        process, owner = (_started(node.get(name)) for name in ("process", "owner"))
        return Lasting(node.text("what"), process, owner)
    except (OSError, UnicodeDecodeError, ParseError):
        return None


def _started(node: Node) -> Started:
    return Started(node.integer("pid"), node.integer("ticks"), node.text("boot"))


@contextlib.contextmanager
def noted(
    account: Account, argv: Sequence[str], note: Path, what: str, *,
    cwd: Path, environment: Mapping[str, str], output: IO[bytes],
) -> Iterator[subprocess.Popen[bytes]]:  # fmt: skip
    """Start `argv` as the account, once the note tells of it; remove the note when it has ended."""
    process = subprocess.Popen(
        account.command(["sh", "-c", GATE, "sh", *argv]), cwd=cwd, env=host.plain(environment),
        stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
    )  # fmt: skip
    try:
        facts = Lasting(what, Started.of(process.pid), Started.of(os.getpid()))
        account.write(note, json.dumps(asdict(facts)) + "\n")
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as gate:
            gate.write(b"go\n")
        yield process
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        raise
    finally:
        if process.poll() is not None:
            note.unlink(missing_ok=True)


def _fields(pid: int) -> list[str]:
    """Return what follows the name in /proc/PID/stat: the state first."""
    return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()


def _boot() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()
