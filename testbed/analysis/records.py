# SPDX-License-Identifier: Apache-2.0
"""What a run directory says, as frozen records. None always means: not known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.analysis.counters import ProcStat
from testbed.analysis.kernel_log import LogLine
from testbed.analysis.mpstat import Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Snap:
    """/proc/stat with the monotonic times just before and just after it (alone) was read."""

    before_read_ns: int
    after_read_ns: int
    utc_ns: int
    stat: ProcStat

    @property
    def monotonic_ns(self) -> float:
        return (self.before_read_ns + self.after_read_ns) / 2

    @property
    def read_s(self) -> float:
        return (self.after_read_ns - self.before_read_ns) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTrial:
    """What the sender says it did."""

    token: str
    source_port: int
    seed: int | None
    rate_pps: float
    achieved_pps: float | None
    payload_bytes: int
    jitter: float
    planned: int
    offered: int
    send_errors: int
    duration_ms: float
    late_sends: int | None
    control_sent: int
    """START, END and CLOSE datagrams, repeats too; 0 when not recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTrial:
    """What arrived; the snaps stand at the edges of the traffic (START answered, END received)."""

    unique: int
    duplicates: int
    reordered: int
    foreign: int
    duration_ms: float | None
    socket_drops: int | None
    rcvbuf_bytes: int | None
    before: Snap
    after: Snap
    idle_window: tuple[Snap, Snap] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What `snapshot.py` read in the server before or after a trial; counters by namespace."""

    snmp: Mapping[str, Mapping[str, int]]
    netstat: Mapping[str, Mapping[str, int]]
    kmsg_sequence: int | None
    """Of the last record in the kernel log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One START…END window of one arm. `problems` names what is missing or unreadable."""

    block: int
    position: int
    arm: str
    number: int
    folder: str
    destination: str
    client: ClientTrial | None
    server: ServerTrial | None
    mpstat: Recording | None
    mpstat_started_utc_ns: int | None
    before: Network | None
    after: Network | None
    mode: str | None
    hits_before: tuple[int, ...] | None
    hits_after: tuple[int, ...] | None
    kernel_log: tuple[LogLine, ...] | None
    windows_s: Mapping[str, float]
    files: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def hook_hits(self) -> int | None:
        if self.hits_before is None or self.hits_after is None:
            return None
        return sum(self.hits_after) - sum(self.hits_before)

    @property
    def kernel_log_lines(self) -> int | None:
        """Records the kernel logged: by their numbers, for its ring buffer forgets the oldest
        when there are many; the lines in the file when a number is missing or ran backwards."""
        first = self.before.kmsg_sequence if self.before else None
        last = self.after.kmsg_sequence if self.after else None
        if first is not None and last is not None and last >= first:
            return last - first
        return None if self.kernel_log is None else len(self.kernel_log)

    @property
    def delivered_share(self) -> float | None:
        if self.client is None or self.server is None or self.client.offered <= 0:
            return None
        return self.server.unique / self.client.offered


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """An arm's manifest, as far as the analysis reads it."""

    name: str
    title: str
    summary: str
    semantic_class: str
    hook: str
    exhibit: bool
    original_name: str
    expected_mode: str

    @property
    def is_baseline(self) -> bool:
        return self.hook == "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run directory. `complete` is False when there is no manifest; `reasons` says what lacks."""

    run_id: str
    complete: bool
    reasons: tuple[str, ...]
    command: tuple[str, ...]
    profile: str
    seed: int | None
    blocks: tuple[tuple[str, ...], ...]
    arms: tuple[Arm, ...]
    trials: tuple[Trial, ...]
    config: Mapping[str, Any]
    manifest: Mapping[str, Any]
    facts: Mapping[str, Mapping[str, Any]]

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)

    def trials_of(self, name: str) -> tuple[Trial, ...]:
        return tuple(sorted((t for t in self.trials if t.arm == name), key=lambda t: t.block))
