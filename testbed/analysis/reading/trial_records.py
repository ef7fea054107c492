# SPDX-License-Identifier: Apache-2.0
"""What the files of one trial say, each as a frozen record. None always means: not known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.analysis.formats.proc_files import Interrupt, ProcStat
from testbed.packets.traffic import Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Snap:
    """/proc/stat with the monotonic times just before and just after it (alone) was read.

    `softirqs` are counts by kind, `interrupts` by row; both over all CPUs, empty if not recorded.
    """

    before_read_ns: int
    after_read_ns: int
    utc_ns: int
    stat: ProcStat
    softirqs: Mapping[str, int] = field(default_factory=dict)
    interrupts: Mapping[str, Interrupt] = field(default_factory=dict)
    place: str = ""
    """The file, and where in it."""

    @property
    def monotonic_ns(self) -> float:
        return (self.before_read_ns + self.after_read_ns) / 2

    @property
    def read_s(self) -> float:
        return (self.after_read_ns - self.before_read_ns) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Counters of one network namespace: SNMP ones by name, and packets by interface."""

    snmp: Mapping[str, int]
    netstat: Mapping[str, int]
    interfaces: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacks:
    """The server's stack at one edge of the traffic; `backlog_drops` over all CPUs."""

    root: Stack
    namespace: Stack
    backlog_drops: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTrial:
    """What the sender says it did; a session of several trials is summed up."""

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
    end_attempts: int | None = None
    start_attempts: int | None = None
    gap_us: Mapping[str, float] = field(default_factory=dict)
    """mean, sd, p50, p99, max between successive sends."""
    tick_lock: Mapping[int, float] = field(default_factory=dict)
    """Mean resultant length of the sends' phase, by tick rate in Hz (guest/pacing.py)."""
    before: Stack | None = None
    after: Stack | None = None
    durations_ms: tuple[float, ...] = ()
    """Of each trial of the session; one as a rule."""
    sent: tuple[Sent, ...] = ()
    """The recipe of each trial's packets; empty when it was not recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """The server's sample: one packet in `one_in` was drawn, `dropped` of those found no room.

    `inode` is that of its packet socket, by which it is told from anybody else's.
    """

    one_in: int
    inode: int
    drawn: int
    dropped: int
    kept: int


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
    first_data_ns: int | None = None
    last_data_ns: int | None = None
    cpu_s: float | None = None
    """CPU time of the receiving program between the edges."""
    answers_sent: int | None = None
    stacks: tuple[Stacks, Stacks] | None = None
    uniques: tuple[int, ...] = ()
    traffic_s: float | None = None
    """Time between START and END, of all trials of the session together."""
    drawing: Drawing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What `snapshot.py` read in the server before or after a trial; counters by namespace."""

    snmp: Mapping[str, Mapping[str, int]]
    netstat: Mapping[str, Mapping[str, int]]
    kmsg_sequence: int | None
    """Of the last record in the kernel log."""
    monotonic_ns: int | None = None
    device: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """`ethtool -S` by interface."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """Sysctls, modules, links, packet sockets, tracing: what must not differ between trials."""
    interrupts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Rows of /proc/interrupts that are a NIC's, by interface; without those of none."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """/proc/meminfo in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReading:
    """The host at one moment: CPU and waiting time of the machines' threads, in ns, by role."""

    before_read_ns: int
    after_read_ns: int
    vcpu_run_ns: Mapping[str, int]
    vcpu_wait_ns: Mapping[str, int]
    machine_run_ns: Mapping[str, int]
    """All threads of a machine's process, the virtual CPUs' among them."""
    link_drops: Mapping[str, int]
    stat: ProcStat | None
    own_cpu_ns: int | None

    @property
    def monotonic_ns(self) -> float:
        return (self.before_read_ns + self.after_read_ns) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """A guest's uptime, and the host's monotonic clock just before and just after it was asked."""

    host_before_ns: int
    host_after_ns: int
    guest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HookState:
    """What the arm's verify and count said; `problem` why they could not be asked."""

    mode: str | None
    facts: Mapping[str, Any]
    hits: tuple[int, ...] | None
    problem: str
