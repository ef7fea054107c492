# SPDX-License-Identifier: Apache-2.0
"""The check that the server had its CPUs: what the guest lacked, and what else the host did."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from testbed.analysis import environment
from testbed.analysis.counters import USER_HZ
from testbed.analysis.findings.finding import Check, Evidence, Finding, Verdict, graded, gravest, of
from testbed.analysis.records import Run, Trial
from testbed.analysis.trial_records import HostReading

STEAL_SUSPECT = 0.01
"""A guest under emulation has no steal clock and always reads 0."""
WAIT_SHARES_KVM = (0.02, 0.10)
"""SUSPECT and INVALID: time for which the server's virtual CPUs were ready and waited for a CPU of
the host, over wall × virtual CPUs. The guest takes that time for work, so it is in the cost."""
WAITING_CPUS_EMULATION = 0.30
"""SUSPECT: the same under emulation, of all virtual CPUs together. QEMU's own threads make them
wait. In quiet trials on two cores one virtual CPU waited for 0.14 to 0.26 of the time, and the cost
spread by 2 to 4 %; two waited for 0.35 to 0.9 in all, and it spread by 5 to 21 %
(docs/calibration.md). Beside another program they waited for less, since it slowed the client down:
a hog is found by the other load."""
WAIT_SHARE_EMULATION_INVALID = 0.80
OTHER_CPUS = (0.25, 0.50)
"""SUSPECT and INVALID: CPUs of the host busy with neither the machines nor the testbed. Quiet real
trials had -0.01 to 0.07; one more busy program on two cores got 0.69 and 0.77 of a CPU, since the
machines took their share: so the bound of a hog is well below 1."""
BUSY = ("user", "nice", "system", "irq", "softirq")
"""Of the host's /proc/stat; user and nice hold what guests use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One quantity with its bounds; None was not recorded."""

    what: str
    value: float | None
    suspect: float
    invalid: float
    unit: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.value is None:
            return Verdict.SUSPECT
        return graded(self.value, self.suspect, self.invalid)

    @property
    def statement(self) -> str:
        if self.value is None:
            return f"not recorded: {self.what}"
        value = (
            f"{self.value:.2f} {self.unit}"
            if self.unit
            else f"{self.value * 100:.1f}\u00a0% of the time"
        )
        return f"{self.what}: {value}"

    @property
    def evidence(self) -> Evidence:
        grave = "" if self.invalid == inf else f", INVALID > {self.invalid:g}"
        return Evidence(
            quantity=self.what,
            observed=None if self.value is None else round(self.value, 4),
            unit=self.unit,
            bound=f"<= {self.suspect:g}{grave}",
        )


def contention(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        if trial.server is None:
            continue
        readings = _readings(trial, environment.accelerator(run))
        wrong = [reading for reading in readings if reading.verdict is not Verdict.VALID]
        if not wrong:
            continue
        found.append(
            of(trial).finding(
                "contention",
                gravest(reading.verdict for reading in wrong),
                "; ".join(reading.statement for reading in wrong),
                *(reading.evidence for reading in readings),
                advice="The host's CPUs were not the machines' alone: stop what else runs on it, "
                "and measure again.",
                degree=max((reading.value or 0) / reading.suspect for reading in wrong),
            )
        )
    return found


def _readings(trial: Trial, accelerator: str) -> tuple[_Reading, ...]:
    wait_suspect, wait_invalid = WAIT_SHARES_KVM
    if accelerator == "emulation" and trial.server is not None:
        wait_suspect = WAITING_CPUS_EMULATION / len(trial.server.after.stat.cpus)
        wait_invalid = WAIT_SHARE_EMULATION_INVALID
    other_suspect, other_invalid = OTHER_CPUS
    return (
        _Reading(what="steal time", value=steal_share(trial), suspect=STEAL_SUSPECT, invalid=inf),
        _Reading(
            what="virtual CPUs waiting for the host’s",
            value=wait_share(trial),
            suspect=wait_suspect,
            invalid=wait_invalid,
        ),
        _Reading(
            what="other programs on the host",
            value=other_cpus(trial),
            suspect=other_suspect,
            invalid=other_invalid,
            unit="CPUs",
        ),
    )


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
    return waited_ns / 1e9 / (wall_s * len(trial.server.after.stat.cpus))


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
    busy_s = sum(ticks for ticks in busy if ticks is not None) / USER_HZ
    ours_ns = sum(ns for ns in ours if ns is not None) + after.own_cpu_ns - before.own_cpu_ns
    return (busy_s - ours_ns / 1e9) / wall_s


def _window(trial: Trial) -> tuple[HostReading, HostReading, float] | None:
    before, after = trial.host.get("traffic"), trial.host.get("end")
    if before is None or after is None or after.monotonic_ns <= before.monotonic_ns:
        return None
    return before, after, (after.monotonic_ns - before.monotonic_ns) / 1e9


def _moved(before: Mapping[str, int], after: Mapping[str, int], key: str) -> int | None:
    return after[key] - before[key] if key in before and key in after else None


CONTENTION_CHECKS = (
    Check(
        code="contention",
        what="The machines had the host's CPUs: steal time, waiting of the server's virtual CPUs, "
        "and what other programs on the host took.",
        why="A machine that waits for its CPUs works in bursts, with other caches and batches, and "
        "its idle time is not idle.",
        threshold=f"SUSPECT: steal > {STEAL_SUSPECT:.0%}; waiting with KVM > "
        f"{WAIT_SHARES_KVM[0]:.0%} of wall × virtual CPUs (INVALID > {WAIT_SHARES_KVM[1]:.0%}), "
        f"under emulation > {WAITING_CPUS_EMULATION:.0%} of wall in all (INVALID > "
        f"{WAIT_SHARE_EMULATION_INVALID:.0%} of wall × virtual CPUs); other load > "
        f"{OTHER_CPUS[0]:g} CPUs (INVALID > {OTHER_CPUS[1]:g}); or not recorded",
        source="/proc/stat in the server; schedstat of QEMU's threads and /proc/stat on the host "
        "(host.json)",
        look=contention,
    ),
)
