# SPDX-License-Identifier: Apache-2.0
"""The users of the host's CPUs during a trial's traffic, by its host.json and the server's steal.

Each is None where it was not recorded.
"""

from collections.abc import Mapping

from testbed.analysis.reading.records import Trial
from testbed.analysis.reading.trial_records import HostReading
from testbed.model import host_cpus
from testbed.model.host_cpus import BUSY, USER_HZ, waiting_share


def steal_share(trial: Trial) -> float | None:
    """Steal time of the guest over the traffic, as a share of its CPU time."""
    server = trial.server
    if server is None:
        return None
    before, after = server.before.stat.total, server.after.stat.total
    time_s = (server.after.monotonic_ns - server.before.monotonic_ns) / 1e9
    if "steal" not in before or "steal" not in after or time_s <= 0:
        return None
    return (after["steal"] - before["steal"]) / USER_HZ / (time_s * len(server.after.stat.cpus))


def wait_share(trial: Trial) -> float | None:
    """How long the server's virtual CPUs waited for the host's, over wall × virtual CPUs.

    From the client's `go` to its end: a little more than the traffic.
    """
    window = _window(trial)
    if window is None or trial.server is None:
        return None
    before, after, wall_s = window
    waited_ns = _moved(before.vcpu_wait_ns, after.vcpu_wait_ns, "server")
    if waited_ns is None:
        return None
    return waiting_share(waited_ns, wall_s, len(trial.server.after.stat.cpus))


def host_steal_share(trial: Trial) -> float | None:
    """Steal time of the host itself, as a share of its CPU time: of a rented, virtual one."""
    window = _window(trial)
    if window is None or window[0].stat is None or window[1].stat is None:
        return None
    before, after, wall_s = window[0].stat, window[1].stat, window[2]
    taken = _moved(before.total, after.total, "steal")
    return None if taken is None else taken / USER_HZ / (wall_s * len(after.cpus))


def other_cpus(trial: Trial) -> float | None:
    """CPUs of the host that were busy with neither the machines nor the testbed."""
    window = _window(trial)
    if window is None:
        return None
    before, after, wall_s = window
    ours = [_moved(before.machine_run_ns, after.machine_run_ns, r) for r in ("client", "server")]
    if before.own_cpu_ns is None or after.own_cpu_ns is None or None in ours:
        return None
    if before.stat is None or after.stat is None:
        return None
    busy = [_moved(before.stat.total, after.stat.total, column) for column in BUSY]
    if None in busy:
        return None
    busy_ticks = sum(ticks for ticks in busy if ticks is not None)
    ours_ns = sum(ns for ns in ours if ns is not None) + after.own_cpu_ns - before.own_cpu_ns
    return host_cpus.other_cpus(busy_ticks, ours_ns, wall_s)


def _window(trial: Trial) -> tuple[HostReading, HostReading, float] | None:
    before, after = trial.host.get("traffic"), trial.host.get("end")
    if before is None or after is None or after.monotonic_ns <= before.monotonic_ns:
        return None
    return before, after, (after.monotonic_ns - before.monotonic_ns) / 1e9


def _moved(before: Mapping[str, int], after: Mapping[str, int], key: str) -> int | None:
    return after[key] - before[key] if key in before and key in after else None
