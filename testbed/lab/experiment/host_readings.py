# SPDX-License-Identifier: Apache-2.0
"""The host's readings during a trial: its work for the two machines.

The kernel counts for every thread how long it ran and how long it was ready and had to wait
for a CPU (/proc/PID/task/TID/schedstat, nanoseconds; Documentation/scheduler/sched-stats.rst).
QEMU names the thread of a virtual CPU "CPU n/…". And the private link is a UDP socket of each
QEMU: what did not fit into it is in that socket's drop counter (/proc/net/udp).
"""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.lab.machines.leftovers import machine_processes
from testbed.lab.machines.machines import Machines
from testbed.lab.machines.project import ROLES

PROC = Path("/proc")


@dataclass(frozen=True)
class HostReadings:
    """The machines' processes and the local ports of their link, by role."""

    processes: Mapping[str, int]
    link_ports: Mapping[str, int]

    @classmethod
    def of(cls, machines: Machines) -> "HostReadings":
        """Find the processes of these machines; one that cannot be found is left out."""
        settings = machines.project.settings() or {}
        prefix = machines.domains.prefix
        known = settings.get("machines", {})
        ports = {role: int(known[role]["local_port"]) for role in ROLES if role in known}
        pids = {name.removeprefix(prefix): pid for pid, name in machine_processes(prefix).items()}
        return cls({role: pids[role] for role in ROLES if role in pids}, ports)

    def read(self) -> dict[str, Any]:
        """Return the counters now; what cannot be read is None."""
        before_ns = time.monotonic_ns()
        threads = {role: _threads(pid) for role, pid in self.processes.items()}
        stat = _text(PROC / "stat")
        drops = _socket_drops(_text(PROC / "net/udp"))
        return {
            "monotonic_ns": [before_ns, time.monotonic_ns()],
            "utc_ns": time.time_ns(),
            "threads": threads,
            "stat": None if stat is None else "".join(_cpu_lines(stat)),
            "link_drops": {role: drops.get(port) for role, port in self.link_ports.items()},
            "own_cpu_ns": time.process_time_ns(),
        }


def _threads(pid: int) -> list[dict[str, Any]] | None:
    """Return name, run time and waiting time in ns of every thread of a process."""
    found = []
    try:
        for task in sorted((PROC / str(pid) / "task").iterdir()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                run_ns, wait_ns, _ = (task / "schedstat").read_text().split()
                name = (task / "comm").read_text().strip()
                found.append({"name": name, "run_ns": int(run_ns), "wait_ns": int(wait_ns)})
    except (OSError, ValueError):
        return None
    return found


def _socket_drops(table: str | None) -> dict[int, int]:
    """Return the drop counter by local port; with several sockets on a port, their sum."""
    drops: dict[int, int] = {}
    for line in (table or "").splitlines()[1:]:
        fields = line.split()
        port = int(fields[1].rpartition(":")[2], 16)
        drops[port] = drops.get(port, 0) + int(fields[-1])
    return drops


def _cpu_lines(stat: str) -> list[str]:
    return [line for line in stat.splitlines(keepends=True) if line.startswith("cpu")]


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None
