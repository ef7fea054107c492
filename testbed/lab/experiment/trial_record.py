# SPDX-License-Identifier: Apache-2.0
"""What the trial loop itself knows of a trial: when which step began, and the host's readings."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from testbed.lab.experiment.host_readings import HostReadings
from testbed.model.errors import HostError
from testbed.model.plan import PROBE, WARM_UP, Trial

ASLEEP_S = 1.0
"""Far above what passes between the readings of two clocks, far below any suspension."""


def time_asleep_s() -> float:
    """Return how long this computer has been suspended since it booted.

    CLOCK_BOOTTIME goes on then, CLOCK_MONOTONIC does not: clock_gettime(2).
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


@dataclass
class TrialRecord:
    """Becomes trial.json and host.json; `witness` is told of every step as it begins."""

    trial: Trial
    destination: tuple[str, int]
    host: HostReadings
    witness: Callable[[str], None]
    client_status: int | None = None
    mpstat_started_utc_ns: int | None = None
    windows_s: dict[str, float] = field(default_factory=dict)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    readings: dict[str, dict[str, Any]] = field(default_factory=dict)
    clocks: dict[str, dict[str, Any]] = field(default_factory=dict)
    meminfo: dict[str, str] = field(default_factory=dict)
    piped: Event = field(default_factory=Event)  # the client's `go` can be written to
    asleep_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.asleep_s = time_asleep_s()

    def mark(self, step: str) -> None:
        """Note that `step` begins now."""
        now = {"utc_ns": time.time_ns(), "host_monotonic_ns": time.monotonic_ns()}
        self.timeline.append({"event": step, **now})
        self.witness(step)

    def window(self, name: str, seconds: float) -> float:
        """Declare a waiting time and return it."""
        self.windows_s[name] = seconds
        return seconds

    def read_host(self, moment: str) -> None:
        """Read this computer's counters: at `idle`, at `traffic` and at its `end`."""
        self.readings[moment] = self.host.read()

    def read_clock(self, moment: str, ask: Callable[[], float]) -> None:
        """Note what the server's clock says, between two looks at the host's."""
        start_ns = time.monotonic_ns()
        uptime_s = ask()
        self.clocks[moment] = {
            "host_monotonic_ns": [start_ns, time.monotonic_ns()],
            "guest_uptime_s": uptime_s,
        }

    def read_memory(self, moment: str, ask: Callable[[], str]) -> None:
        """Note the server's /proc/meminfo: at `load`, before it, and when the hook is `gone`."""
        self.meminfo[moment] = ask()

    def demand_awake(self) -> None:
        """Raise HostError when this computer was suspended meanwhile: nothing is comparable then.

        Clocks here and in the guests stand still together, so no number would tell.
        """
        slept_s = time_asleep_s() - self.asleep_s
        if slept_s > ASLEEP_S:
            raise HostError(
                f"this computer slept for {slept_s:.0f} s in the middle of a trial",
                hint="`systemd-inhibit testbed bench …` keeps it awake, where there is one",
            )

    def host_as_json(self) -> dict[str, Any]:
        """Return the content of host.json."""
        return {"schema": 1, "readings": self.readings, "clocks": self.clocks}

    def as_json(self) -> dict[str, Any]:
        """Return the content of trial.json."""
        return {
            "schema": 1,
            "block": self.trial.block,
            "position": self.trial.position,
            "arm": self.trial.arm,
            "trial": self.trial.block,
            "warm_up": self.trial.block == WARM_UP,
            "probe": self.trial.block == PROBE,
            "source_port": self.trial.source_port,
            "destination": f"{self.destination[0]}:{self.destination[1]}",
            "client_status": self.client_status,
            "mpstat_started_utc_ns": self.mpstat_started_utc_ns,
            "windows_s": self.windows_s,
            "timeline": self.timeline,
            "meminfo": self.meminfo,
            "error": None,
        }
