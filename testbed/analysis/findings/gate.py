# SPDX-License-Identifier: Apache-2.0
"""The check that every arm did the same work, byte for byte, before anything was timed."""

from testbed.analysis.findings.finding import Check, Evidence, Finding, Scope, Verdict
from testbed.analysis.gate.matrix import reasons
from testbed.analysis.gate.outcomes import GateOutcome
from testbed.analysis.reading.records import Run

SHOWN = 3
"""So many groups are named in the statement; the matrix has all of them."""


def same_work(run: Run) -> list[Finding]:
    """Look at each arm's outcome; those that were not put through the gate are suspect."""
    found = []
    for arm in run.arms:
        outcome = run.gate.get(arm.name)
        if outcome is None:
            found.append(_unexamined(arm.name))
        elif not outcome.same_work:
            found.append(_wrong(outcome))
        elif outcome.unseen:
            found.append(_unseen(outcome))
        elif outcome.unexplained:
            found.append(_unexplained(outcome))
    return found


def _unexamined(arm: str) -> Finding:
    return Finding(
        code="same-work",
        verdict=Verdict.SUSPECT,
        scope=Scope(arm=arm),
        statement="was not put through the gate: nobody knows whether it does the same work",
        evidence=(Evidence(quantity="crafted frames sent", observed=0, unit="frames"),),
        advice="testbed check sends the frames without a measurement.",
    )


def _wrong(outcome: GateOutcome) -> Finding:
    lines = reasons(outcome)
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return Finding(
        code="same-work",
        verdict=Verdict.INVALID,
        scope=Scope(arm=outcome.arm),
        statement="; ".join(lines[:SHOWN]) + more,
        evidence=(_count(outcome), *_lengths(outcome), *_losses(outcome), _hits(outcome)),
        advice="It does other work than the reference, so its cost is no answer to the same "
        "question: compare what was captured of it with sent.pcap.gz, and mend the arm.",
    )


def _unseen(outcome: GateOutcome) -> Finding:
    total = len(outcome.cases)
    return Finding(
        code="same-work",
        verdict=Verdict.SUSPECT,
        scope=Scope(arm=outcome.arm),
        statement=f"{outcome.unseen:,} of {total:,} crafted packets never came out, "
        f"in {outcome.rounds} rounds of sending, and the link may have lost them",
        evidence=(
            Evidence(quantity="crafted packets not seen", observed=outcome.unseen, bound="0"),
        ),
        advice="The packets that were seen are right: run it again, on a host that is less busy.",
        degree=outcome.unseen,
    )


def _unexplained(outcome: GateOutcome) -> Finding:
    return Finding(
        code="same-work",
        verdict=Verdict.SUSPECT,
        scope=Scope(arm=outcome.arm),
        statement=f"{outcome.unexplained:,} crafted packets came out only when they were sent "
        "again, and what the link lost is not known",
        evidence=_losses(outcome),
        advice="The hook may have lost them: run it again, on a host that is less busy.",
        degree=outcome.unexplained,
    )


def _losses(outcome: GateOutcome) -> tuple[Evidence, ...]:
    """Return the gate's losses and their places; empty for runs in which they were not counted."""
    if not outcome.losses:
        return ()
    return (
        Evidence(
            quantity="crafted packets lost behind the server's NIC",
            observed=outcome.lost,
            unit="packets",
            bound="0",
        ),
        Evidence(quantity="frames lost on the link", observed=outcome.lost_on_link, unit="frames"),
    )


def _count(outcome: GateOutcome) -> Evidence:
    return Evidence(
        quantity="crafted packets that came out wrong",
        observed=outcome.mismatches,
        unit=f"of {len(outcome.cases):,}",
        bound="0",
    )


def _lengths(outcome: GateOutcome) -> list[Evidence]:
    """The shortest payload that came out wrong, of each sweep over lengths that has one."""
    return [
        Evidence(
            quantity=f"shortest payload that came out wrong ({group.group})",
            observed=group.mismatches[0].payload_bytes,
            unit="bytes",
            bound="none",
        )
        for group in outcome.groups
        if group.is_sweep and group.mismatches
    ]


def _hits(outcome: GateOutcome) -> Evidence:
    hits = outcome.hits
    return Evidence(
        quantity="hook hits",
        observed=hits.counted,
        unit="packets",
        bound=f"{hits.at_least} … {hits.at_most}",
    )


GATE_CHECKS = (
    Check(
        code="same-work",
        what="Crafted packets, byte for byte against a reference rewrite, before the first trial.",
        why="Arrival proves nothing: a wrong checksum, a fragment torn apart or traffic of others "
        "redirected makes a hook cheaper, and no counter shows it.",
        threshold="INVALID on any packet that came out wrong, twice, behind later ones (0.5 %) or "
        "unsent, or reached the server's NIC and was lost behind it; hits beyond what was sent and "
        "arrived. SUSPECT when not run, or when packets were never seen",
        source="captures in the namespace and at the server, counters of both NICs "
        "(gate/<arm>/), RFC 1624, RFC 1071",
        look=same_work,
    ),
)
