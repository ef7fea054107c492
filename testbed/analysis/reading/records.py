# SPDX-License-Identifier: Apache-2.0
"""A trial, an arm and a run, as frozen records. None always means: not known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.analysis.formats.kernel_log import LogLine
from testbed.analysis.formats.mpstat import MpstatLog
from testbed.analysis.gate.outcomes import GateOutcome
from testbed.analysis.reading.trial_records import (
    ClientTrial,
    ClockReading,
    HookState,
    HostReading,
    Network,
    ServerTrial,
)
from testbed.packets.sampled import Sampled


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
    mpstat: MpstatLog | None
    mpstat_started_utc_ns: int | None
    before: Network | None
    after: Network | None
    hook_before: HookState | None
    hook_after: HookState | None
    kernel_log: tuple[LogLine, ...] | None
    windows_s: Mapping[str, float]
    files: tuple[str, ...]
    problems: tuple[str, ...]
    host: Mapping[str, HostReading] = field(default_factory=dict)
    """By moment: `idle`, `traffic`, `end`."""
    clocks: Mapping[str, ClockReading] = field(default_factory=dict)
    """The server's clock beside the host's, `before` and `after` the traffic."""
    started_ns: int | None = None
    ended_ns: int | None = None
    """The host's monotonic clock when the trial began and ended."""
    sample: tuple[Sampled, ...] | None = None
    """The trial's own packets that were drawn at random, as they came out."""
    memory: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """The server's /proc/meminfo in bytes: at `load`, before the hook is, and when it is `gone`."""

    @property
    def mode(self) -> str | None:
        """How the hook was attached when the traffic began; "none" without a hook."""
        return self.hook_before.mode if self.hook_before else None

    @property
    def hook_hits(self) -> int | None:
        if self.hook_before is None or self.hook_after is None:
            return None
        if self.hook_before.hits is None or self.hook_after.hits is None:
            return None
        return sum(self.hook_after.hits) - sum(self.hook_before.hits)

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
class LoadTry:
    """One warm-up trial: packets/s asked for and kept, the share that was delivered, and of the
    host the share of its CPUs that idled, and of the server's time that it waited for one."""

    rate_pps: float
    achieved_pps: float
    delivered_share: float
    idle_share: float | None = None
    waiting_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """A run that had been cut off went on at `utc` with `block`, which was measured anew."""

    block: int
    utc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """Both machines were booted anew before `block`; the kernels' boot ids say so."""

    block: int
    server: str
    client: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPart:
    """A stretch of a run: mostly the whole, else from a start or resumption to the next cut.

    `length_s` is None where nobody wrote down when it ended.
    """

    block: int
    started_utc: str
    length_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How often the arm's program ran in the probe pass, and for how long, by its own counters."""

    runs: int
    run_time_ns: int

    @property
    def mean_ns(self) -> float | None:
        return self.run_time_ns / self.runs if self.runs else None


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
    control_kind: str = ""
    """`again` or `unmatched` for a control (testbed/model/arm.py)."""
    control_of: str = ""

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
    edited: tuple[str, ...] = ()
    """Files that are not as the manifest's checksums say: changed, or gone."""
    added: tuple[str, ...] = ()
    """Files among the measured ones that the manifest does not list."""
    gate: Mapping[str, GateOutcome] = field(default_factory=dict)
    """The gate's outcome by arm; arms that were not put through it are missing."""
    problems: tuple[str, ...] = ()
    """Files of the run itself, not of a trial, that cannot be read."""
    load: tuple[LoadTry, ...] = ()
    """The warm-up's tries, in this order; the last one's successor is the load of all arms."""
    probes: Mapping[str, Probe] = field(default_factory=dict)
    """The times of the probe pass, by arm."""
    resumed: tuple[Resumption, ...] = ()
    parts: tuple[RunPart, ...] = ()
    """Its stretches of time; empty where they were not recorded."""
    built: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The files that the arms' builds made, by arm, with their SHA-256; empty if not recorded."""
    boots: tuple[Boot, ...] = ()
    """The boots of a run that was to go over several (`bench --boots`), the first one included."""

    @property
    def boot_by_block(self) -> dict[int, int]:
        """The number of the boot that each block is of, from 1; empty of a run of one boot."""
        firsts = [boot.block for boot in self.boots]
        numbers = range(1, len(self.blocks) + 1)
        return {n: sum(n >= first for first in firsts) for n in numbers} if firsts else {}

    @property
    def ordered_arms(self) -> tuple[Arm, ...]:
        """The arm without a hook first, then as planned."""
        return tuple(sorted(self.arms, key=lambda arm: not arm.is_baseline))

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)

    def trials_of(self, name: str) -> tuple[Trial, ...]:
        return tuple(sorted((t for t in self.trials if t.arm == name), key=lambda t: t.block))
