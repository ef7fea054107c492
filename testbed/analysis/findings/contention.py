# SPDX-License-Identifier: Apache-2.0
"""The check that the server had its CPUs: what the guest lacked, and what else the host did.

Waiting has several causes with several remedies: other programs on the host, a hypervisor above it
that took its CPUs, or the two machines themselves, which want more than the host has. Which of them
it was is read, not guessed: each is a finding of its own, and its advice follows the reading.
"""

from dataclasses import dataclass
from math import inf

from testbed.analysis.findings.finding import (
    NOT_RECORDED,
    Check,
    Evidence,
    Finding,
    Verdict,
    graded,
    gravest,
    of,
)
from testbed.analysis.measures.host_shares import (
    host_steal_share,
    other_cpus,
    steal_share,
    wait_share,
)
from testbed.analysis.measures.rates import lower_rate
from testbed.analysis.reading import environment
from testbed.analysis.reading.records import Run, Trial
from testbed.model.host_cpus import (
    OTHER_CPUS,
    STEAL_SUSPECT,
    WAIT_SHARE_EMULATION_INVALID,
    WAIT_SHARES_KVM,
    WAITING_CPUS_EMULATION,
    waiting_bound,
)

OTHERS, ABOVE, MACHINES = "other programs", "hypervisor above", "machines"
STEAL, UNKNOWN_CAUSE = "steal", "unknown"
"""Reasons why the server waited: the causes of this check's findings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One quantity with its bounds; None was not recorded. `says` has a gap for it."""

    what: str
    says: str
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
    def is_wrong(self) -> bool:
        return self.verdict is not Verdict.VALID

    @property
    def statement(self) -> str:
        if self.value is None:
            return f"not recorded: {self.what}"
        if self.unit:
            return self.says.format(f"{max(0.0, self.value):.2f} {self.unit}")
        return self.says.format(f"{self.value * 100:.1f}\u00a0%")

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
    accelerator = environment.accelerator(run)
    advice = _advice(run, accelerator)
    found = []
    for trial in run.trials:
        if trial.server is None:
            continue
        steal, waiting, other, taken = readings = _readings(trial, accelerator)
        for cause, wrong in _causes(steal, waiting, other, taken):
            known = [reading for reading in wrong if reading.value is not None]
            found.append(
                of(trial).finding(
                    "contention",
                    gravest(reading.verdict for reading in wrong),
                    "; ".join(reading.statement for reading in wrong),
                    *(reading.evidence for reading in readings),
                    advice=advice[cause],
                    degree=max(((r.value or 0) / r.suspect for r in known), default=0.0),
                    cause=cause,
                )
            )
    return found


def _causes(
    steal: _Reading, waiting: _Reading, other: _Reading, taken: _Reading
) -> list[tuple[str, list[_Reading]]]:
    """The readings beyond their bounds, by what caused them.

    Waiting is the consequence of what took the host's CPUs, where something did; steal is the
    guest's view of the same waiting, so it speaks alone only where nothing else does.
    """
    bad = [r for r in (other, taken, waiting, steal) if r.value is not None and r.is_wrong]
    unknown = [r for r in (steal, waiting, other) if r.value is None]
    causes: list[tuple[str, list[_Reading]]] = []
    for cause, reading in ((OTHERS, other), (ABOVE, taken)):
        if reading in bad:
            causes.append((cause, [reading]))
    effects = [reading for reading in (waiting, steal) if reading in bad]
    if causes:
        causes[0][1].extend(effects)
    elif effects and other.value is None:
        causes.append((UNKNOWN_CAUSE, effects))
    elif waiting in bad:
        causes.append((MACHINES, [*effects, other]))
    elif effects:
        causes.append((STEAL, effects))
    return causes + ([(NOT_RECORDED, unknown)] if unknown else [])


def _advice(run: Run, accelerator: str) -> dict[str, str]:
    """Return the advice for each cause, with this run's own numbers."""
    rate, cores = lower_rate(run), environment.fact(run, "host", "cores")
    slower = f"lower the rate (--rate {rate})" if rate else "lower the rate (--rate)"
    host = "this host" if cores == environment.UNKNOWN else f"the {cores} CPUs of this host"
    kvm = ", or one with KVM" if accelerator == "emulation" else ""
    return {
        OTHERS: "Stop what else runs on this host, and measure again.",
        ABOVE: "This host is itself a virtual machine, and the hypervisor above it gave its CPUs "
        "to others: measure at another hour, or on a host with CPUs of its own.",
        MACHINES: f"The two machines themselves fill {host}: {slower}, or use a host with more "
        f"CPUs{kvm}.",
        STEAL: "The hypervisor above the server gave its CPUs to something else: look at what "
        f"that host runs, or {slower}.",
        UNKNOWN_CAUSE: "The load of other programs on the host was not recorded. Stop them, or "
        f"{slower}.",
        NOT_RECORDED: "Without this the check cannot speak; run the bench again.",
    }


def _readings(trial: Trial, accelerator: str) -> tuple[_Reading, _Reading, _Reading, _Reading]:
    """Steal, waiting, other programs, and what was taken from the host."""
    cpu_count = len(trial.server.after.stat.cpus) if trial.server else 1
    kvm = accelerator != "emulation"
    other_suspect, other_invalid = OTHER_CPUS
    return (
        _Reading(
            what="steal time of the server",
            says="steal time of the server: {} of the time",
            value=steal_share(trial),
            suspect=STEAL_SUSPECT,
            invalid=inf,
        ),
        _Reading(
            what="how long the server’s virtual CPUs waited for a host CPU",
            says="the server’s virtual CPUs were ready to run but had no host CPU for {} of "
            "the time",
            value=wait_share(trial),
            suspect=waiting_bound(kvm=kvm, cpu_count=cpu_count),
            invalid=WAIT_SHARES_KVM[1] if kvm else WAIT_SHARE_EMULATION_INVALID,
        ),
        _Reading(
            what="other programs on the host",
            says="other programs on the host took {}",
            value=other_cpus(trial),
            suspect=other_suspect,
            invalid=other_invalid,
            unit="CPUs",
        ),
        _Reading(
            what="CPU time taken from the host by a hypervisor above it",
            says="the hypervisor above this host took {} of its CPU time",
            value=host_steal_share(trial),
            suspect=STEAL_SUSPECT,
            invalid=inf,
        ),
    )


CONTENTION_CHECKS = (
    Check(
        code="contention",
        what="The machines had the host's CPUs: steal time of server and host, waiting of the "
        "server's virtual CPUs, and what other programs on the host took.",
        why="A machine that waits for its CPUs works in bursts, with other caches and batches, and "
        "its idle time is not idle.",
        threshold=f"SUSPECT: steal > {STEAL_SUSPECT:.0%}, in the server or of the host; or not "
        f"recorded. Waiting with KVM: SUSPECT > {WAIT_SHARES_KVM[0]:.0%} of wall × virtual CPUs, "
        f"INVALID > {WAIT_SHARES_KVM[1]:.0%}. Waiting under emulation: SUSPECT > "
        f"{WAITING_CPUS_EMULATION:.0%} of wall in all, INVALID > "
        f"{WAIT_SHARE_EMULATION_INVALID:.0%} of wall × virtual CPUs. Other load: SUSPECT > "
        f"{OTHER_CPUS[0]:g} CPUs, INVALID > {OTHER_CPUS[1]:g}",
        source="/proc/stat in the server; schedstat of QEMU's threads and /proc/stat on the host "
        "(host.json)",
        look=contention,
    ),
)
