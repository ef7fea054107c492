# SPDX-License-Identifier: Apache-2.0
"""Checks on where packets went between the client's socket and the program."""

from testbed.analysis.findings.finding import (
    NOT_RECORDED,
    WHOLE_RUN,
    Check,
    Evidence,
    Finding,
    Verdict,
    graded,
    of,
)
from testbed.analysis.measures.drop_counters import device_losses, link_drops
from testbed.analysis.measures.ledger import (
    INSIDE_TOLERANCE,
    OUTSIDE_TOLERANCE,
    Ledger,
    Step,
    ledger_of,
)
from testbed.analysis.measures.merging import merged, reassembled
from testbed.analysis.reading.environment import fact
from testbed.analysis.reading.records import Run, Trial
from testbed.model.nic import INTERFACE

STEP_INVALID = 0.01
INSIDE, BEFORE, MORE = "inside the server", "before its NIC", "more than before"
DEVICE_SUSPECT, DEVICE_INVALID = 1e-4, 1e-2
MERGED_INVALID = 0.001


def ledger(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        book = ledger_of(trial, run.arm(trial.arm))
        if book is None or book.closes():
            continue
        uneven = sorted(
            (step for step in book.steps if not step.holds),
            key=lambda step: -abs(step.share) / step.tolerance,
        )
        cause = _cause(uneven)
        found.append(
            of(trial).finding(
                "ledger",
                _gravest(uneven),
                "; ".join([step.sentence for step in uneven] + _unknown_hops(book)),
                *(_step_evidence(step) for step in uneven),
                *_unknown_evidence(book),
                advice=_ADVICE[cause],
                degree=abs(uneven[0].share) if uneven else 0.0,
                cause=cause,
            )
        )
    return found


_ADVICE = {
    INSIDE: "Packets lost inside the server are the arm’s doing or the receiver’s: the counters at "
    "that hop, where any moved, say which (Where the packets went).",
    BEFORE: "Packets lost before the server’s NIC are the client’s or the link’s, not the arm’s: "
    "lower --rate.",
    MORE: "More packets came than there had been before: another sender, or an arm that "
    "copies them.",
    NOT_RECORDED: "Without this the check cannot speak; run the bench again.",
}


def _cause(uneven: list[Step]) -> str:
    """Return who caused the worst step; nobody where hops are only unknown."""
    if not uneven:
        return NOT_RECORDED
    if uneven[0].lost < 0:
        return MORE
    return INSIDE if uneven[0].inside else BEFORE


def _gravest(uneven: list[Step]) -> Verdict:
    grave = any(step.share >= STEP_INVALID for step in uneven)
    return Verdict.INVALID if grave else Verdict.SUSPECT


def _unknown_hops(book: Ledger) -> list[str]:
    names = ", ".join(f"“{hop.name}”" for hop in book.unknown)
    return [f"not recorded: packets at {names}"] if names else []


def _step_evidence(step: Step) -> Evidence:
    return Evidence(
        quantity=f"lost from {step.start} to {step.end}",
        observed=step.lost,
        unit="packets",
        bound=f"-{INSIDE_TOLERANCE:.2%} … {step.tolerance:.2%} of {step.before}, "
        f"INVALID >= {STEP_INVALID:.0%}",
    )


def _unknown_evidence(book: Ledger) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(quantity=f"{hop.name} ({hop.counter})", observed=None, unit="packets")
        for hop in book.unknown
    )


def device(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        if trial.client is None or trial.server is None or trial.client.offered <= 0:
            continue
        losses = device_losses(trial)
        unknown = [name for name, count in losses.items() if count is None]
        if unknown:
            found.append(of(trial).unknown("device", f"drops of the server: {', '.join(unknown)}"))
        dropped = {name: count for name, count in losses.items() if count}
        share = max(dropped.values(), default=0) / trial.client.offered
        if share <= DEVICE_SUSPECT:
            continue
        listed = ", ".join(f"{name} {count:,}" for name, count in dropped.items())
        found.append(
            of(trial).finding(
                "device",
                graded(share, DEVICE_SUSPECT, DEVICE_INVALID),
                f"the server dropped packets before or beside the hook: {listed}",
                *_device_evidence(trial),
                advice="The machine, not the hook, was the bottleneck: lower --rate, or give the "
                "server more CPUs.",
                degree=share,
            )
        )
    return found


def _device_evidence(trial: Trial) -> list[Evidence]:
    bound = f"<= {DEVICE_SUSPECT:g} of the packets offered, INVALID > {DEVICE_INVALID:g}"
    link = "drops: the virtual link’s socket, on the host"
    return [
        *(
            Evidence(quantity=f"drops: {name}", observed=count, unit="packets", bound=bound)
            for name, count in device_losses(trial).items()
        ),
        Evidence(quantity=link, observed=link_drops(trial), unit="packets"),
    ]


def merging(run: Run) -> list[Finding]:
    found = _large_receive(run)
    for trial in run.trials:
        if trial.server is None:
            continue
        together, fragments = merged(trial), reassembled(trial)
        if together is None or fragments is None:
            found.append(of(trial).unknown("merging", "whether packets were merged"))
            continue
        said = []
        if fragments:
            said.append(f"{fragments:,} fragments came to be put together")
        if together.share > MERGED_INVALID:
            said.append(
                f"{together.segments:,} packets went through the stack as {together.units:,} "
                f"({together.where})"
            )
        if not said:
            continue
        bound = f"<= {MERGED_INVALID:g} of those received"
        share = round(together.share, 6)
        found.append(
            of(trial).finding(
                "merging",
                Verdict.INVALID,
                "; ".join(said),
                Evidence(quantity="packets merged", observed=share, bound=bound),
                Evidence(quantity="fragments", observed=fragments, unit="packets", bound="0"),
                advice="A cost per packet has no meaning when several went through the stack as "
                "one: send a payload that fits the MTU, and switch GRO (--no-gro) and LRO off.",
                degree=together.share + fragments,
            )
        )
    return found


def _large_receive(run: Run) -> list[Finding]:
    """LRO merges in the NIC, before any counter of the kernel."""
    state = fact(run, "server-before", "nics", INTERFACE, "features", "large-receive-offload")
    if not state.startswith("on"):
        return []
    return [
        WHOLE_RUN.finding(
            "merging",
            Verdict.SUSPECT,
            "the server’s NIC may merge packets before the kernel sees them (LRO)",
            Evidence(quantity="large-receive-offload", observed=state, bound="off"),
            advice=f"Switch it off: ethtool -K {INTERFACE} lro off.",
        )
    ]


LEDGER_CHECKS = (
    Check(
        code="ledger",
        what="The packets at each hop, from the client’s sends to the program, agree.",
        why="Where they do not, the arms did not carry the same packets equally far, and the hop "
        "says whose doing it was.",
        threshold=f"SUSPECT: a loss > {OUTSIDE_TOLERANCE:.1%} before the server’s NIC or "
        f"> {INSIDE_TOLERANCE:.2%} after it, a gain > {INSIDE_TOLERANCE:.2%}, or a hop not "
        f"recorded; INVALID: a loss >= {STEP_INVALID:.0%}",
        source="client.json, /proc/net/dev, /proc/net/snmp of both namespaces at the edges of "
        "the traffic (server.json), the arm’s count, sequence numbers",
        look=ledger,
    ),
    Check(
        code="device",
        what="Packets dropped by the server’s NIC, by a CPU’s backlog, or in the veth pair.",
        why="Then the machine was the bottleneck, and what it dropped cost nothing further.",
        threshold=f"SUSPECT > {DEVICE_SUSPECT:g}, INVALID > {DEVICE_INVALID:g} of the packets "
        "offered; SUSPECT when not recorded",
        source="/proc/net/dev, softnet_stat (server.json), ethtool -S (before.json, after.json); "
        "beside them the link's drops on the host",
        look=device,
    ),
    Check(
        code="merging",
        what="No packets were merged on the way up (GRO, LRO), and none came in fragments.",
        why="Merged packets share one passage through the stack and through the hook.",
        threshold=f"INVALID > {MERGED_INVALID:.1%} merged, or any reassembly; SUSPECT when LRO "
        "is on or nothing was recorded",
        source="IpExtInNoECTPkts and its kin (segments) against IpInReceives (packets), IpReasm*, "
        "both namespaces; ethtool -k",
        look=merging,
    ),
)
