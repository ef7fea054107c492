# SPDX-License-Identifier: Apache-2.0
"""CPU-µs per delivered packet, from idle time, at the edges of the traffic.

    busy     = wall * CPUs - Δidle - Δiowait                        (CPU-seconds)
    idle_rate = the same over the idle window, a second of it        (CPU-seconds per second)
    cost     = (busy - idle_rate * wall) / delivered packets

Why idle and not the busy columns: Debian's kernel is built without IRQ_TIME_ACCOUNTING, and its
VIRT_CPU_ACCOUNTING_GEN stays inactive unless the command line says nohz_full=. It then fills user,
system and softirq by looking once a tick (4 ms) at what runs, so work that is in step with the
tick, or shorter than it, is missed or counted double.
Idle and iowait of a tickless kernel are sums of exact intervals in nanoseconds
(kernel/time/tick-sched.c, get_cpu_idle_time_us; fs/proc/stat.c, get_idle_time).

How exact: /proc/stat adds the nanoseconds of all CPUs and then cuts the sum to 1/USER_HZ = 10 ms
(fs/proc/stat.c, show_stat: nsec_to_clock_t(idle)). The difference of two such readings has a
triangular error of ± 10 ms, standard deviation 10 ms/√6, for idle and again for iowait. The
reading itself takes time: where in it the kernel took the counters is unknown, CPUs * duration
wide, uniform. `uncertainty_us` combines these (GUM, root of the sum of squares): it is the
resolution of the instrument, not the spread between trials.
"""

from dataclasses import dataclass
from math import sqrt

from testbed.analysis.measures.cpu_clock import clock_fault
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.trial_records import Snap
from testbed.model.host_cpus import USER_HZ

MINIMUM_DELIVERED = 100
"""Below, a cost per packet would be mostly the cost of the packets that never arrived."""
MINIMUM_DELIVERED_SHARE = 0.01

_TICK_SD_S = 1 / USER_HZ / sqrt(6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """CPU time used between two snaps."""

    cpu_count: int
    wall_s: float
    busy_s: float
    sd_s: float
    """Standard uncertainty of busy_s from the clock's resolution."""

    @property
    def rate(self) -> float:
        """CPU-seconds per second: 0 … cpu_count."""
        return self.busy_s / self.wall_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one trial; `cost_us` is None, with a reason, when it has no meaning."""

    traffic: Busy
    idle: Busy | None
    cost_us: float | None
    uncertainty_us: float | None
    reason: str


def busy_between(before: Snap, after: Snap) -> Busy | None:
    """None when no time passed or the CPUs changed in between."""
    wall_s = (after.monotonic_ns - before.monotonic_ns) / 1e9
    cpu_count = len(after.stat.cpus)
    if wall_s <= 0 or before.stat.cpus.keys() != after.stat.cpus.keys():
        return None
    not_busy_s = (after.stat.not_busy_ticks - before.stat.not_busy_ticks) / USER_HZ
    edges_sd_s = cpu_count * sqrt((before.read_s**2 + after.read_s**2) / 12)
    return Busy(
        cpu_count=cpu_count,
        wall_s=wall_s,
        busy_s=wall_s * cpu_count - not_busy_s,
        sd_s=sqrt(2 * _TICK_SD_S**2 + edges_sd_s**2),
    )


def cost_of(trial: Trial) -> Cost | None:
    """The trial's cost; None when the server's counters are missing or unusable."""
    server = trial.server
    if server is None:
        return None
    traffic = busy_between(server.before, server.after)
    if traffic is None:
        return None
    idle = busy_between(*server.idle_window) if server.idle_window else None
    reason = _why_not(trial, idle)
    if reason or idle is None:
        return Cost(traffic=traffic, idle=idle, cost_us=None, uncertainty_us=None, reason=reason)
    net_s = traffic.busy_s - idle.rate * traffic.wall_s
    sd_s = sqrt(traffic.sd_s**2 + (idle.sd_s * traffic.wall_s / idle.wall_s) ** 2)
    return Cost(
        traffic=traffic,
        idle=idle,
        cost_us=net_s / server.unique * 1e6,
        uncertainty_us=sd_s / server.unique * 1e6,
        reason="",
    )


def _why_not(trial: Trial, idle: Busy | None) -> str:
    delivered = trial.server.unique if trial.server else 0
    share = trial.delivered_share
    if delivered == 0:
        return "nothing was delivered"
    if delivered < MINIMUM_DELIVERED or (share is not None and share < MINIMUM_DELIVERED_SHARE):
        return f"only {delivered} of the packets arrived"
    if idle is None:
        return "no idle window was recorded"
    return clock_fault(trial.server) if trial.server else ""


def costs_by_block(run: Run, arm: str) -> dict[int, float]:
    """The cost of each of the arm's trials in µs, by block; a trial without one is left out."""
    return {
        trial.block: cost.cost_us
        for trial in run.trials_of(arm)
        if (cost := cost_of(trial)) is not None and cost.cost_us is not None
    }
