# SPDX-License-Identifier: Apache-2.0
"""The kernel's facts about this computer, read and not judged. Nothing is changed."""

import contextlib
import os
from pathlib import Path

from testbed.lab.doctor.quiet import Supply

PROC = Path("/proc")
SYS = Path("/sys")


def cpu_flags() -> frozenset[str]:
    """Return the flags of the first CPU."""
    for line in (PROC / "cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def cores() -> int:
    """Return the CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def memory_mb() -> tuple[int, int]:
    """Return (total, available) memory in MB."""
    lines = (line.split() for line in (PROC / "meminfo").read_text().splitlines())
    kilobytes = {words[0]: int(words[1]) for words in lines if len(words) > 1}
    return kilobytes["MemTotal:"] // 1024, kilobytes["MemAvailable:"] // 1024


def supplies() -> list[Supply]:
    """Return the computer's own power supplies; a mouse's battery is none."""
    found = []
    for folder in _entries(SYS / "class/power_supply"):
        if _word(folder / "scope") == "Device":
            continue
        percent = _word(folder / "capacity")
        found.append(
            Supply(
                _word(folder / "type"),
                _word(folder / "online") == "1",
                _word(folder / "status"),
                int(percent) if percent.isdigit() else None,
            )
        )
    return found


def governors() -> tuple[frozenset[str], str]:
    """Return the governors of all CPUs and the driver below them, both empty without cpufreq."""
    folders = [path / "cpufreq" for path in (SYS / "devices/system/cpu").glob("cpu[0-9]*")]
    found = {_word(folder / "scaling_governor") for folder in folders} - {""}
    drivers = {_word(folder / "scaling_driver") for folder in folders} - {""}
    return frozenset(found), ", ".join(sorted(drivers))


def lock_owner(path: Path) -> int | None:
    """Return the process that holds the lock on a file, None when nobody does.

    The kernel's list is read; taking the lock to see would keep others off it.
    """
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        return None
    for line in (PROC / "locks").read_text().splitlines():
        fields = line.split()
        if fields[1:2] == ["FLOCK"] and fields[5].rpartition(":")[2] == str(inode):
            return int(fields[4])
    return None


def text(path: Path) -> str:
    """Return the content of a file, empty when there is none."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _word(path: Path) -> str:
    """Return the content of a one-word file, empty when it cannot be read."""
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""
