# SPDX-License-Identifier: Apache-2.0
"""CPU time of a synthetic trial: the server's CPUs, the host's threads, and what mpstat shows."""

import random
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

HOST_CORES = 8
HOST_AHEAD_NS = 3_600_000_000_000
"""The host's monotonic clock less the guests': it booted an hour earlier."""


class Snaps:
    """/proc/stat texts whose idle time agrees with the busy time asked for."""

    def __init__(self, cpu_count: int, rng: random.Random, utc_of_boot_ns: int) -> None:
        self.cpu_count = cpu_count
        self.rng = rng
        self.utc_of_boot_ns = utc_of_boot_ns
        self.last_ns: int | None = None
        self.idle_s = 4000.0 + rng.random()
        self.busy_s = 40.0

    def at(self, monotonic_ns: int, *, busy_s: float, interrupts: int = 0) -> dict[str, Any]:
        """The snap at a time: `busy_s` CPU-seconds used since the last one, `interrupts` of the
        NIC since the first."""
        if self.last_ns is not None:
            self.idle_s += (monotonic_ns - self.last_ns) / 1e9 * self.cpu_count - busy_s
            self.busy_s += busy_s
        self.last_ns = monotonic_ns
        rows = [("cpu", self.idle_s, self.busy_s)]
        rows += [
            (f"cpu{i}", self.idle_s / self.cpu_count, self.busy_s / self.cpu_count)
            for i in range(self.cpu_count)
        ]
        stat = "".join(
            f"{name} {int(busy * 60)} 0 {int(busy * 20)} {int(idle * 100)} 0 0 "
            f"{int(busy * 20)} 0 0 0\n"
            for name, idle, busy in rows
        )
        head = "".join(f"{f'CPU{i}':>11}" for i in range(self.cpu_count))
        rest = " 5" * (self.cpu_count - 1)
        read_ns = self.rng.randrange(80_000, 200_000)
        edges = [monotonic_ns - read_ns // 2, monotonic_ns + read_ns // 2]
        return {
            "monotonic_ns": edges,
            "stat_monotonic_ns": edges,
            "utc_ns": self.utc_of_boot_ns + monotonic_ns,
            "stat": stat + "intr 12345 0 9\nctxt 99\nbtime 1\n",
            "softirqs": f"      {head}\n  NET_RX: {9000 + interrupts * 8 // 5}{rest}\n",
            "interrupts": f"      {head}\n 11: {700 + interrupts}{rest}"
            f"   IO-APIC  11-fasteoi   lab0\nLOC: {47183 + interrupts // 3}{rest}"
            "   Local timer interrupts\n",
        }


def host_reading(
    at_ns: int,
    utc_ns: int,
    cpus: Mapping[str, int],
    used_s: Mapping[str, float],
    wall_s: float,
    link_drops: int,
) -> dict[str, Any]:
    """One reading of host.json, `wall_s` after the first one of the trial.

    `cpus` are virtual CPUs by role, `used_s` their CPU-seconds since then. Nothing runs but the
    machines, the testbed itself, and a hundredth of a CPU.
    """
    threads = {}
    for role, count in cpus.items():
        wait_s = 0.002 * wall_s
        rows = [("qemu-system-x86", 0.05 * wall_s, wait_s), ("IO mon_iothread", 0.0, 0.0)]
        rows += [(f"CPU {i}/TCG", used_s[role] / count, wait_s) for i in range(count)]
        threads[role] = [
            {"name": name, "run_ns": int((50 + run) * 1e9), "wait_ns": int((9 + wait) * 1e9)}
            for name, run, wait in rows
        ]
    own_s = 0.015 * wall_s
    busy_s = sum(used_s.values()) + 2 * 0.05 * wall_s + own_s + 0.01 * wall_s
    idle_s = 5000 + HOST_CORES * wall_s - busy_s
    rows_of_stat = [("cpu", 1)] + [(f"cpu{i}", HOST_CORES) for i in range(HOST_CORES)]
    stat = "".join(
        f"{name} {int((700 + busy_s) * 100 / share)} 0 30 {int(idle_s * 100 / share)} 5 0 4 3 0 0\n"
        for name, share in rows_of_stat
    )
    at_ns += HOST_AHEAD_NS
    return {
        "monotonic_ns": [at_ns, at_ns + 2_000_000],
        "utc_ns": utc_ns,
        "threads": threads,
        "stat": stat,
        "link_drops": {"client": 0, "server": link_drops},
        "own_cpu_ns": int((1.5 + own_s) * 1e9),
    }


def mpstat(
    rng: random.Random, times_ns: tuple[int, int, int], utc_ns: int, cpu_count: int, rate: float
) -> dict[str, Any]:
    """Four one-second samples over idle window and traffic; times: own start, START, END.

    `utc_ns` is the time of day at the own start, `rate` the busy CPUs during the traffic.
    """
    began, start, end = times_ns
    statistics = []
    for second in range(4):
        lo, hi = began + second * 10**9, began + (second + 1) * 10**9
        overlap = max(0, min(hi, end) - max(lo, start)) / 1e9
        busy = 100 * rate / cpu_count * overlap + rng.uniform(0.2, 0.9)
        shares = {"usr": 0.34, "sys": 0.26, "soft": 0.4, "irq": 0.0}
        row = {k: round(busy * s * rng.uniform(0.9, 1.1), 2) for k, s in shares.items()}
        row |= {"nice": 0.0, "iowait": 0.0, "steal": 0.0, "guest": 0.0, "gnice": 0.0}
        row["idle"] = round(100 - sum(row.values()), 2)
        ended_s = (utc_ns + hi - began) // 10**9
        stamp = f"{datetime.fromtimestamp(ended_s, timezone.utc):%H:%M:%S}"
        cpus = ["all", *(str(i) for i in range(cpu_count))]
        statistics.append({"timestamp": stamp, "cpu-load": [{"cpu": c} | row for c in cpus]})
    host = {
        "nodename": "server", "sysname": "Linux", "release": "6.1.0-41-amd64",
        "machine": "x86_64", "number-of-cpus": cpu_count, "date": "12/06/25",
        "statistics": statistics,
    }  # fmt: skip
    return {"sysstat": {"hosts": [host]}}
