# SPDX-License-Identifier: Apache-2.0
"""Checks on what was recorded and what arrived."""

from testbed.analysis.findings.finding import (
    WHOLE_RUN,
    Check,
    Evidence,
    Finding,
    Verdict,
    of,
    of_arm,
)
from testbed.analysis.findings.loss import counted, lost_where
from testbed.analysis.measures.cost import cost_of
from testbed.analysis.measures.cost_names import cost_unit
from testbed.analysis.reading.records import Run

DELIVERED_INVALID = 0.99
DELIVERED_SUSPECT = 0.999
SHARES_APART_INVALID = 0.005
NAMED_FILES = 3
"""So many edited files a statement names."""


def complete(run: Run) -> list[Finding]:
    found = [
        WHOLE_RUN.finding(
            "complete",
            Verdict.INVALID,
            reason,
            Evidence(quantity="manifest.json", observed="missing", bound="present"),
            advice="Run the bench again; an interrupted run is kept for its raw files only.",
        )
        for reason in run.reasons[:1]
    ]
    found += [
        WHOLE_RUN.finding(
            "complete",
            Verdict.INVALID,
            problem,
            Evidence(quantity="problem", observed=problem),
            advice="Look at the named file; run the bench again.",
        )
        for problem in run.problems
    ]
    for trial in run.trials:
        found += [
            of(trial).finding(
                "complete",
                Verdict.INVALID,
                problem,
                Evidence(quantity="problem", observed=problem),
                advice="Look at the named file; run the bench again to replace the trial.",
            )
            for problem in trial.problems
        ]
    return found


def edited(run: Run) -> list[Finding]:
    found = []
    for names, said in ((run.edited, "changed"), (run.added, "added")):
        if not names:
            continue
        more = len(names) - NAMED_FILES
        rest = f" and {more} more" if more > 0 else ""
        found.append(
            WHOLE_RUN.finding(
                "edited",
                Verdict.INVALID,
                f"{said} since it was measured: {', '.join(names[:NAMED_FILES])}{rest}",
                Evidence(quantity=f"files {said}", observed=len(names), unit="files", bound="0"),
                advice="Nobody can say what these numbers are: get the run's files back as they "
                "were written, or measure again.",
            )
        )
    return found


def delivery(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        share = trial.delivered_share
        if share is None or trial.client is None or trial.server is None:
            if not trial.problems:
                found.append(of(trial).unknown("delivery", "what was offered"))
            continue
        if share >= DELIVERED_SUSPECT and trial.server.duplicates == 0:
            continue
        offered, unique = trial.client.offered, trial.server.unique
        twice = trial.server.duplicates
        also = f", {twice:,} of them more than once" if twice else ""
        found.append(
            of(trial).finding(
                "delivery",
                Verdict.INVALID if share < DELIVERED_INVALID else Verdict.SUSPECT,
                f"{unique:,} of {offered:,} packets arrived ({share * 100:.2f}\u00a0%)"
                f"{also}{lost_where(trial)}",
                Evidence(
                    quantity="delivered share",
                    observed=round(share, 6),
                    bound=f">= {DELIVERED_SUSPECT}, INVALID < {DELIVERED_INVALID}",
                ),
                Evidence(quantity="duplicates", observed=twice, unit="packets", bound="0"),
                advice="An arm that loses packets does less work: find where they went "
                "(the other findings of this arm, then the counters in before/after.json), "
                "or lower --rate.",
                degree=1 - share + twice,
            )
        )
    return found + _arms_apart(run)


def _arms_apart(run: Run) -> list[Finding]:
    """Arms whose packets arrived unequally; by number where nobody knows what was offered."""
    arrived: dict[str, float] = {}
    for arm in run.arms:
        servers = [(t.client, t.server) for t in run.trials_of(arm.name) if t.server]
        shares = [s.unique / c.offered for c, s in servers if c and c.offered > 0]
        if servers:
            known = len(shares) == len(servers)
            counts = shares if known else [float(s.unique) for _, s in servers]
            arrived[arm.name] = sum(counts) / len(counts)
    by_number = any(t.server and not t.client for t in run.trials)
    if len(arrived) < 2 or max(arrived.values()) <= 0:
        return []
    few, most = min(arrived, key=lambda a: arrived[a]), max(arrived, key=lambda a: arrived[a])
    apart = 1 - arrived[few] / arrived[most] if by_number else arrived[most] - arrived[few]
    if apart <= SHARES_APART_INVALID:
        return []
    said = (
        f"{arrived[few]:,.0f} packets arrived, and {arrived[most]:,.0f} of “{run.arm(most).title}”"
        if by_number
        else f"{apart * 100:.2f} points fewer of its packets arrived than of "
        f"“{run.arm(most).title}”"
    )
    return [
        of_arm(few).finding(
            "delivery",
            Verdict.INVALID,
            said,
            Evidence(
                quantity="delivered by the arm that delivered most, less this one's",
                observed=round(apart, 6),
                bound=f"<= {SHARES_APART_INVALID}",
            ),
            advice="Two arms that deliver unequally did unequal work.",
        )
    ]


def checksum(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        errors = counted(trial, "UdpInCsumErrors")
        if errors is None:
            if not trial.problems:
                found.append(of(trial).unknown("checksum", "UdpInCsumErrors"))
        elif errors != 0:
            found.append(
                of(trial).finding(
                    "checksum",
                    Verdict.INVALID,
                    f"{errors:,} packets dropped for a wrong UDP checksum",
                    Evidence(
                        quantity="UdpInCsumErrors", observed=errors, unit="packets", bound="0"
                    ),
                    advice="The arm rewrites packets into ones the receiver rejects: correct its "
                    "checksum update (RFC 1624).",
                    degree=errors,
                )
            )
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
                of(trial).finding(
                    "cost",
                    Verdict.INVALID,
                    f"no CPU cost per packet: {reason}",
                    Evidence(quantity="cost_us", observed=None, unit=cost_unit(run)),
                    advice="See this trial's other findings; a longer --duration or a higher "
                    "--rate lifts the cost above the clock's resolution.",
                )
            )
    return found


ARRIVAL_CHECKS = (
    Check(
        code="complete",
        what="The run closed with a manifest and every planned trial has all its files.",
        why="Half a run, or a trial with a truncated file, reads like a run with small numbers; a "
        "counter that ran backwards makes a number of nothing.",
        threshold="INVALID: no manifest; a trial's file missing or unreadable; a value that is no "
        "number (NaN, 1e999, −5, true, above 2^64); a counter that ran backwards",
        source="manifest.json, raw/*",
        look=complete,
    ),
    Check(
        code="edited",
        what="Every measured file is as it was when the run was closed, and none came to them.",
        why="A number that was changed by hand looks like a measured one.",
        threshold="INVALID when a checksum differs, a file is gone, or there is one too many",
        source="SHA-256 of every measured file in manifest.json; raw/, gate/, facts/",
        look=edited,
    ),
    Check(
        code="delivery",
        what="Unique packets that reached the program, over packets the client sent.",
        why="A path that drops packets saves their processing and looks cheap.",
        threshold=f"INVALID < {DELIVERED_INVALID * 100:g} %, or the arms' means more than "
        f"{SHARES_APART_INVALID * 100:g} points apart ({SHARES_APART_INVALID * 100:g} % of what "
        "arrived, where what was sent is not known); SUSPECT < "
        f"{DELIVERED_SUSPECT * 100:g} % or any duplicate",
        source="sequence numbers (server.json), accepted sends (client.json); for the place of a "
        "loss, the hook's hits",
        look=delivery,
    ),
    Check(
        code="checksum",
        what="Packets that the receiving stack dropped for a wrong UDP checksum. Where GRO "
        "verified it before the hook, nobody looks again: only the gate (same-work) sees it then.",
        why="A packet with a broken checksum is dropped where one looks, and costs less for it.",
        threshold="INVALID > 0, SUSPECT when not recorded",
        source="UdpInCsumErrors, /proc/net/snmp of both namespaces, before and after",
        look=checksum,
    ),
    Check(
        code="cost",
        what="The cost per packet can be computed and is above the idle rate; the server's idle "
        "clock ran neither backwards nor faster than time.",
        why="Otherwise there is no number to compare, or one that no kernel can have counted.",
        threshold="INVALID when not positive or not defined; when a column of /proc/stat falls, or "
        "idle and iowait together grow by more than the time that passed on all CPUs",
        source="/proc/stat at the edges of traffic and idle window (server.json)",
        look=cost,
    ),
)
