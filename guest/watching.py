# SPDX-License-Identifier: Apache-2.0
"""Things besides modules that can see, change or delay packets: programs, probes, threads.

Whatever cannot be read is None, and `unavailable` says why.
"""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bpf_programs import programs
from netlink import nft_tables, qdiscs
from nic_settings import features
from procfs import read_text

T = TypeVar("T")
TRACEFS = "/sys/kernel/tracing"
KPROBES = "/sys/kernel/debug/kprobes/list"
#: Of a per-CPU ring's statistics: what it holds, what was overwritten, refused or read.
WRITTEN = ("entries", "overrun", "commit overrun", "dropped events", "read events")
KTHREADD = "/proc/2/task/2/children"
#: No more lines than these of a list that is empty as a rule.
LINES = 20


def watching(unavailable: dict[str, str]) -> dict[str, Any]:
    """Things that exist once in a kernel."""
    return {
        "trace_ring": ring_writes(unavailable),
        "programs": _tried("BPF programs", programs, unavailable),
        "kprobes": _lines(KPROBES),
        "traced_functions": _lines(f"{TRACEFS}/enabled_functions"),
        "kthreads": kernel_threads(),
    }


def attached(modules: list[str] | None, unavailable: dict[str, str]) -> dict[str, Any]:
    """Things that the present network namespace has."""
    tables: list[str] | None = []
    if modules is None or "nf_tables" in modules:
        tables = _tried("nft tables", nft_tables, unavailable)
    names = read_text("/proc/net/ip_tables_names")
    return {
        "qdiscs": _tried("queueing disciplines", qdiscs, unavailable),
        "nft_tables": tables,
        "iptables": sorted((names or "").split()),
        "features": {name: features(name) for _, name in socket.if_nameindex()},
    }


def ring_writes(unavailable: dict[str, str]) -> dict[str, int] | None:
    """Records ever written to each trace ring, all CPUs; "" is the one of trace_printk().

    They are written whether tracefs is mounted or not, but only there they can be counted.
    """
    rings = [Path(TRACEFS)]
    try:
        rings += sorted(Path(TRACEFS, "instances").iterdir())
        return {"" if ring == rings[0] else ring.name: _written(ring) for ring in rings}
    except (OSError, ValueError) as error:
        unavailable["trace_ring"] = str(error)
        return None


def _written(ring: Path) -> int:
    total = 0
    files = list(ring.glob("per_cpu/cpu*/stats"))
    if not files:
        raise OSError(f"{ring}: no statistics")
    for file in files:
        rows = (line.partition(":") for line in file.read_text().splitlines())
        numbers = {name: value for name, _, value in rows}
        total += sum(int(numbers[name]) for name in WRITTEN)
    return total


def kernel_threads() -> list[str] | None:
    """Names of the kernel's threads, sorted; kworkers come and go with anybody's work.

    They are the children of kthreadd, which is process 2 (CONFIG_PROC_CHILDREN lists them).
    """
    children = read_text(KTHREADD)
    if children is None:
        return None
    names = {(read_text(f"/proc/{child}/comm") or "").rstrip("\n") for child in children.split()}
    return sorted(name for name in names if name and not name.startswith("kworker/"))


def _lines(path: str) -> list[str] | None:
    text = read_text(path)
    return None if text is None else text.splitlines()[:LINES]


def _tried(what: str, ask: Callable[[], T], unavailable: dict[str, str]) -> T | None:
    try:
        return ask()
    except OSError as error:
        unavailable[what] = error.strerror or str(error)
        return None
