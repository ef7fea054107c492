# SPDX-License-Identifier: Apache-2.0
"""The host during a trial: how long its CPUs idled, and how long the server waited for one.

A load that is delivered may still fill the host. On two cores without KVM 3,800 packets/s were
delivered to the last one, with 7 % of the host idle. The server's virtual CPU waited for 0.2 to 0.4
of the time, and the cost spread by 8 to 15 %. At 2,450 packets/s 29 % idled, it waited for 0.12 to
0.18, and three trials lay within 12 %.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.model import host_cpus
from testbed.model.host_cpus import OTHER_CPUS, waiting_bound

MARGIN = 0.8
"""A part of the bound where `contention` is SUSPECT: trials differ among themselves."""
IDLE_SHARE = 0.20
"""A share of the host's CPUs.

On two cores 3,600 packets/s left 17 %, and the waits were at the bound. 2,450 packets/s left 29 %:
the waits were at half of it, and the cost no longer followed the rate.
"""
_COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


@dataclass(frozen=True)
class HostLoad:
    """Shares of time and CPUs during the traffic; None was not recorded.

    `waiting_share` is the server's, over wall × virtual CPUs; `bound` is where `contention` begins
    to doubt it. `idle_share` is of all the host's CPUs. `other_cpus` were busy with neither the
    machines nor the testbed.
    """

    waiting_share: float | None = None
    bound: float | None = None
    idle_share: float | None = None
    other_cpus: float | None = None

    @property
    def leaves_room(self) -> bool:
        """Whether the host had CPU time to spare; what is not known is no reason to lower a rate.

        A host that is full because of other programs is not made emptier by a lower rate.
        """
        if self.waiting_share is not None and self.bound is not None:
            waits_too_long = self.waiting_share > MARGIN * self.bound
        else:
            waits_too_long = False
        return not waits_too_long and (self.idle_share is None or self.idle_share >= IDLE_SHARE)

    @property
    def is_others(self) -> bool:
        """Whether other programs took so much of the host that the check names them."""
        return self.other_cpus is not None and self.other_cpus > OTHER_CPUS[0]

    @classmethod
    def of(cls, folder: Path) -> "HostLoad":
        """Read from a trial's host.json; empty when that has no two readings."""
        try:
            readings = json.loads((folder / "host.json").read_text())["readings"]
            return cls.between(readings["traffic"], readings["end"])
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    @classmethod
    def between(cls, before: Mapping[str, Any], after: Mapping[str, Any]) -> "HostLoad":
        """Work it out from the readings as the traffic began and as it had ended."""
        wall_s = (sum(after["monotonic_ns"]) - sum(before["monotonic_ns"])) / 2e9
        if wall_s <= 0:
            return cls()
        cpus = [name for name, _ in _threads(after, "server", "CPU ")]
        waited_ns = _moved(before, after, "server", "wait_ns", "CPU ")
        waiting = None
        if cpus and waited_ns is not None:
            waiting = host_cpus.waiting_share(waited_ns, wall_s, len(cpus))
        bound = waiting_bound(kvm=cpus[0].endswith("KVM"), cpu_count=len(cpus)) if cpus else None
        if not before.get("stat") or not after.get("stat"):
            return cls(waiting, bound)
        first, last = _columns(before["stat"]), _columns(after["stat"])
        ticks = {name: last[name] - first[name] for name in last}
        passed = sum(ticks.values())
        idle = (ticks["idle"] + ticks["iowait"]) / passed if passed > 0 else None
        ours = [_moved(before, after, role, "run_ns") for role in after["threads"]]
        if None in ours:
            return cls(waiting, bound, idle)
        ours_ns = sum(ns or 0 for ns in ours) + after["own_cpu_ns"] - before["own_cpu_ns"]
        busy_ticks = sum(ticks[name] for name in host_cpus.BUSY)
        return cls(waiting, bound, idle, host_cpus.other_cpus(busy_ticks, ours_ns, wall_s))


def _threads(reading: Mapping[str, Any], role: str, start: str = "") -> list[tuple[str, Any]]:
    """The threads of a machine whose name begins so; a virtual CPU's is "CPU n/…"."""
    threads = reading["threads"].get(role) or ()
    return [(one["name"], one) for one in threads if one["name"].startswith(start)]


def _moved(
    before: Mapping[str, Any], after: Mapping[str, Any], role: str, key: str, start: str = ""
) -> int | None:
    """How far a counter of these threads, all together, went; None where it was not read."""
    sums = [[one[key] for _, one in _threads(reading, role, start)] for reading in (before, after)]
    return sum(sums[1]) - sum(sums[0]) if all(sums) else None


def _columns(stat: str) -> dict[str, int]:
    """The columns of all CPUs together, in ticks of 1/100 s."""
    words = stat.splitlines()[0].split()[1:]
    return dict(zip(_COLUMNS, (int(word) for word in words), strict=False))
