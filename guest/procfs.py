# SPDX-License-Identifier: Apache-2.0
"""Readings of the kernel's own counters, kept as the raw text the kernel printed.

Parsing belongs to the analysis: a text kept as it was can be read again when a parser was wrong. A
text that cannot be read is None, never an empty text and never a zero.
"""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 16


def read_text(path: str) -> str | None:
    """The whole of a small (virtual) file, or None if it cannot be read.

    By system calls: a snapshot reads a hundred such files, and a Python file object takes longer
    to make, under emulation, than such a file takes to read.
    """
    parts = []
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while part := os.read(handle, CHUNK_BYTES):
                parts.append(part)
        finally:
            os.close(handle)
    except OSError:
        return None
    return b"".join(parts).decode(errors="replace")


def cpu_counters() -> dict[str, Any]:
    """Where the CPUs' time went, and what interrupted them, at one moment.

    `monotonic_ns` are the clock before the first and after the last file, `stat_monotonic_ns`
    those around /proc/stat alone: the cost of a packet hangs on that file and on its moment.
    """
    before_ns = time.monotonic_ns()
    stat = read_text("/proc/stat")
    stat_ns = time.monotonic_ns()
    softirqs = read_text("/proc/softirqs")
    interrupts = read_text("/proc/interrupts")
    after_ns = time.monotonic_ns()
    return {
        "monotonic_ns": [before_ns, after_ns],
        "stat_monotonic_ns": [before_ns, stat_ns],
        "utc_ns": time.time_ns(),
        "stat": stat,
        "softirqs": softirqs,
        "interrupts": interrupts,
    }


def stat_and(*paths: str) -> dict[str, Any]:
    """The raw text of /proc/stat and of further files, with the clock before and after."""
    before_ns = time.monotonic_ns()
    stat = read_text("/proc/stat")
    others = {Path(path).name: read_text(path) for path in paths}
    return {"monotonic_ns": [before_ns, time.monotonic_ns()], "stat": stat, **others}


def stack_counters() -> dict[str, Any]:
    """The stack's counters in the root namespace and in this process's own, raw.

    /proc/PID/net shows the network namespace of that process; process 1 is in the root's.
    """
    return {
        "root": _counters_of("/proc/1/net"),
        "namespace": _counters_of("/proc/self/net"),
        "softnet_stat": read_text("/proc/net/softnet_stat"),
    }


def _counters_of(folder: str) -> dict[str, str | None]:
    return {name: read_text(f"{folder}/{name}") for name in ("snmp", "netstat", "dev")}


def read_number_or_text(path: str) -> int | str | None:
    """A one-line file: an int if it is one number, otherwise its words; None if unreadable."""
    text = read_text(path)
    if text is None:
        return None
    words = " ".join(text.split())
    try:
        return int(words)
    except ValueError:
        return words


def uptime_s() -> float | None:
    """Seconds since boot."""
    text = read_text("/proc/uptime")
    return float(text.split()[0]) if text else None


def output_of(*command: str, unavailable: dict[str, str], timeout_s: float = 5.0) -> str | None:
    """Return a command's output. None if it is missing, fails or hangs; `unavailable` says why.

    A command that fails in part (dpkg-query: one name of many unknown) still gives what it printed.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        unavailable[" ".join(command)] = str(error)
        return None
    if done.returncode != 0 and not done.stdout:
        words = done.stderr.decode(errors="replace").split()
        unavailable[" ".join(command)] = " ".join(words) or f"exit code {done.returncode}"
        return None
    return done.stdout.decode(errors="replace")
