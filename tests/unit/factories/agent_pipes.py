# SPDX-License-Identifier: Apache-2.0
"""A local process in place of an SSH channel."""

import subprocess
from dataclasses import dataclass
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
