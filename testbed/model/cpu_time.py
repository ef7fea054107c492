# SPDX-License-Identifier: Apache-2.0
"""CPU time as /proc/stat counts it, and how the host's was shared between two readings.

The warm-up computes the shares from a trial's host.json while it looks for a load, the analysis
from the same file afterwards; both compare them with the bounds in `host_bounds`.
"""

USER_HZ = 100
"""Ticks a second in /proc/stat on every Linux architecture we run on (sysconf(_SC_CLK_TCK))."""
BUSY = ("user", "nice", "system", "irq", "softirq")
"""Columns of the host's /proc/stat; user and nice hold what guests use."""


def waiting_share(waited_ns: int, wall_s: float, cpu_count: int) -> float:
    """How long virtual CPUs waited for the host's, over wall × virtual CPUs: 0 … 1."""
    return waited_ns / 1e9 / (wall_s * cpu_count)


def other_cpus(busy_ticks: int, ours_ns: int, wall_s: float) -> float:
    """CPUs of the host busy with neither the machines nor the testbed.

    `busy_ticks` is the sum of the `BUSY` columns, `ours_ns` the CPU time of the machines' processes
    and of the testbed itself. The clocks differ, so a small negative number is possible.
    """
    return (busy_ticks / USER_HZ - ours_ns / 1e9) / wall_s
