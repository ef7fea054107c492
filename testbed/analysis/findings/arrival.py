# SPDX-License-Identifier: Apache-2.0
"""Checks on what was recorded and what arrived."""

from testbed.analysis.cost import cost_of
from testbed.analysis.findings.finding import Check, Evidence, Finding, Scope, Verdict, of_trial
from testbed.analysis.findings.loss import counted, lost_where, socket_drops
from testbed.analysis.records import Run, Trial

DELIVERED_INVALID = 0.99
DELIVERED_SUSPECT = 0.999


def complete(run: Run) -> list[Finding]:
    found = [
        Finding(
            code="complete",
            verdict=Verdict.INVALID,
            scope=Scope(),
            statement=reason,
            evidence=(Evidence(quantity="manifest.json", observed="missing", bound="present"),),
            advice="Run the bench again; an interrupted run is kept for its raw files only.",
        )
        for reason in run.reasons[:1]
    ]
    for trial in run.trials:
        found += [
            Finding(
                code="complete",
                verdict=Verdict.INVALID,
                scope=of_trial(trial),
                statement=problem,
                evidence=(Evidence(quantity="problem", observed=problem),),
                advice="Look at the named file; run the bench again to replace the trial.",
            )
            for problem in trial.problems
        ]
    return found


def delivery(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        share = trial.delivered_share
        if share is None or trial.client is None or trial.server is None:
            if not trial.problems:
                found.append(_unknown("delivery", trial, "nothing was offered"))
            continue
        if share >= DELIVERED_SUSPECT and trial.server.duplicates == 0:
            continue
        verdict = Verdict.INVALID if share < DELIVERED_INVALID else Verdict.SUSPECT
        offered, unique = trial.client.offered, trial.server.unique
        twice = trial.server.duplicates
        also = f", {twice:,} of them more than once" if twice else ""
        found.append(
            Finding(
                code="delivery",
                verdict=verdict,
                scope=of_trial(trial),
                statement=f"{unique:,} of {offered:,} packets arrived ({share * 100:.2f}\u00a0%)"
                f"{also}{lost_where(trial)}",
                evidence=(
                    Evidence(
                        quantity="delivered share",
                        observed=round(share, 6),
                        bound=f">= {DELIVERED_SUSPECT}, INVALID < {DELIVERED_INVALID}",
                    ),
                    Evidence(quantity="duplicates", observed=twice, unit="packets", bound="0"),
                ),
                advice="An arm that loses packets does less work: find where they went "
                "(the other findings of this arm, then the counters in before/after.json), "
                "or lower --rate.",
                degree=1 - share + twice,
            )
        )
    return found


def checksum(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        errors = counted(trial, "UdpInCsumErrors")
        if errors is None:
            if not trial.problems:
                found.append(_unknown("checksum", trial, "UdpInCsumErrors was not recorded"))
        elif errors != 0:
            found.append(
                Finding(
                    code="checksum",
                    verdict=Verdict.INVALID,
                    scope=of_trial(trial),
                    statement=f"{errors:,} packets dropped for a wrong UDP checksum",
                    evidence=(
                        Evidence(
                            quantity="UdpInCsumErrors",
                            observed=errors,
                            unit="packets",
                            bound="0",
                        ),
                    ),
                    advice="The arm rewrites packets into ones the receiver rejects: correct its "
                    "checksum update (RFC 1624).",
                    degree=errors,
                )
            )
    return found


def receiver(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        counts = {
            "UdpRcvbufErrors": counted(trial, "UdpRcvbufErrors"),
            "socket drops": socket_drops(trial),
        }
        lost = {name: n for name, n in counts.items() if n}
        if lost:
            listed = ", ".join(f"{name} {n:,}" for name, n in lost.items())
            found.append(
                Finding(
                    code="receiver",
                    verdict=Verdict.SUSPECT,
                    scope=of_trial(trial),
                    statement=f"the receiving program lost packets it was handed: {listed}",
                    evidence=tuple(
                        Evidence(quantity=name, observed=n, unit="packets", bound="0")
                        for name, n in lost.items()
                    ),
                    advice="The receiver was the bottleneck, not the hook: raise its buffer or "
                    "lower --rate.",
                    degree=sum(lost.values()),
                )
            )
        elif None in counts.values() and not trial.problems:
            found.append(_unknown("receiver", trial, "the receiver's drops were not recorded"))
    return found


def cost(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        measured = cost_of(trial)
        if measured is None:
            reason = "" if trial.problems else "the server's CPU counters cannot be used"
        elif measured.cost_us is not None and measured.cost_us <= 0:
            reason = "the server was no busier during the traffic than in the idle window"
        else:
            reason = measured.reason
        if reason:
            found.append(
                Finding(
                    code="cost",
                    verdict=Verdict.INVALID,
                    scope=of_trial(trial),
                    statement=f"no CPU cost per packet: {reason}",
                    evidence=(Evidence(quantity="cost_us", observed=None, unit="CPU-µs"),),
                    advice="See this trial's other findings; a longer --duration or a higher "
                    "--rate lifts the cost above the clock's resolution.",
                )
            )
    return found


def _unknown(code: str, trial: Trial, statement: str) -> Finding:
    return Finding(
        code=code,
        verdict=Verdict.SUSPECT,
        scope=of_trial(trial),
        statement=statement,
        evidence=(Evidence(quantity=code, observed=None),),
        advice="Without this the check cannot speak; run the bench again.",
    )


ARRIVAL_CHECKS = (
    Check(
        code="complete",
        what="The run closed with a manifest and every planned trial has all its files.",
        why="Half a run, or a trial with a truncated file, reads like a run with small numbers.",
        threshold="no manifest or an unreadable file: INVALID",
        source="manifest.json, raw/*",
        look=complete,
    ),
    Check(
        code="delivery",
        what="Unique packets that reached the program, over packets the client sent.",
        why="A path that drops packets saves their processing and looks cheap.",
        threshold="INVALID < 99 %, SUSPECT < 99.9 % or any duplicate",
        source="sequence numbers (server.json), accepted sends (client.json)",
        look=delivery,
    ),
    Check(
        code="checksum",
        what="Packets that the receiving stack dropped for a wrong UDP checksum.",
        why="A rewrite that breaks the checksum delivers nothing, and costs less for it.",
        threshold="INVALID > 0",
        source="UdpInCsumErrors, /proc/net/snmp of both namespaces, before and after",
        look=checksum,
    ),
    Check(
        code="receiver",
        what="Packets lost at the receiving socket.",
        why="Then the program, not the hook, set the pace.",
        threshold="SUSPECT > 0",
        source="UdpRcvbufErrors (/proc/net/snmp), drops (/proc/net/udp) less checksum errors",
        look=receiver,
    ),
    Check(
        code="cost",
        what="The CPU time per packet can be computed and is above the idle rate.",
        why="Otherwise there is no number to compare.",
        threshold="INVALID when not positive or not defined",
        source="/proc/stat at the edges of traffic and idle window (server.json)",
        look=cost,
    ),
)
