# SPDX-License-Identifier: Apache-2.0
"""Virtual machines as the kernel's list of processes shows them."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
HYPERVISORS = (
    "qemu-system-",
    "VBoxHeadless",
    "VirtualBoxVM",
    "vmware-vmx",
    "firecracker",
    "cloud-hypervis",
    "crosvm",
)
"""How /proc/PID/comm begins for what runs virtual machines; the kernel keeps 15 characters."""


@dataclass(frozen=True)
class Process:
    """A process that runs a virtual machine; `started` tells it from a later one with its id."""

    pid: int
    uid: int
    name: str
    words: tuple[str, ...]
    started: int
    age_s: float

    @property
    def guest(self) -> str:
        """The virtual machine's name, or the program's where it has none."""
        for before, word in zip(self.words, self.words[1:], strict=False):
            if before in ("-name", "--comment", "--startvm"):
                return word.removeprefix("guest=").partition(",")[0]
        return self.name


def machines() -> list[Process]:
    """Return every process that runs a virtual machine, of all users."""
    found: list[Process] = []
    for folder in sorted(PROC.iterdir()):
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended meanwhile
                found += _machine(folder)
    return found


def _machine(folder: Path) -> Iterator[Process]:
    name = (folder / "comm").read_text(errors="replace").strip()
    if not name.startswith(HYPERVISORS):
        return
    words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    if words:  # else it has ended, and its parent has not asked yet
        pid = int(folder.name)
        ticks = _started(pid)
        yield Process(pid, folder.stat().st_uid, name, tuple(words), ticks, _age_s(ticks))


def _started(pid: int) -> int:
    """Return when a process started, in the kernel's ticks. Raises OSError when it is gone."""
    return int(_fields(pid)[19])


def _fields(pid: int) -> list[str]:
    """Return what follows the name in /proc/PID/stat: the state first."""
    return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()


def _age_s(ticks: int) -> float:
    up_s = float((PROC / "uptime").read_text().split()[0])
    return up_s - ticks / os.sysconf("SC_CLK_TCK")


def is_still(process: Process) -> bool:
    """Whether this very process still runs; one that waits to be buried does not."""
    try:
        fields = _fields(process.pid)
        return int(fields[19]) == process.started and fields[0] != "Z"
    except (OSError, ValueError, IndexError):
        return False


def exists(pid: int) -> bool:
    """Whether any process has this id."""
    return (PROC / str(pid)).exists()
