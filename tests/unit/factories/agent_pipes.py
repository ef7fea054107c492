# SPDX-License-Identifier: Apache-2.0
"""A local process in place of an SSH channel, and the processes that an agent starts."""

import contextlib
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass
class Pipes:
    """In place of an SSH channel: the agent's own stdin, stdout and stderr."""

    process: subprocess.Popen[bytes]

    def sendall(self, data: bytes) -> None:
        """Send a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def makefile(self, _mode: str) -> IO[bytes]:
        """Return what it answers."""
        assert self.process.stdout is not None
        return self.process.stdout

    def makefile_stderr(self, _mode: str) -> IO[bytes]:
        """Return what it complains of."""
        assert self.process.stderr is not None
        return self.process.stderr

    def shutdown_write(self) -> None:
        """End its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def close(self) -> None:
        """Nothing to do: its stdin has ended."""


def gone(pid: int) -> bool:
    """Whether a process has ended, or is about to be forgotten."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def pid_in(path: Path) -> int:
    """Return the process id that is written there, once it is."""
    deadline = time.monotonic() + 10
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(path.read_text())
