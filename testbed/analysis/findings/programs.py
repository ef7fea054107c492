# SPDX-License-Identifier: Apache-2.0
"""Checks on the two programs: did the sender send as asked, could the receiver keep up?"""

from testbed.analysis import environment
from testbed.analysis.findings.finding import (
    WHOLE_RUN,
    Check,
    Evidence,
    Finding,
    Verdict,
    graded,
    gravest,
    of,
    of_arm,
)
from testbed.analysis.findings.loss import counted, socket_drops
from testbed.analysis.records import Run, Trial
from testbed.analysis.trial_records import ClientTrial, ServerTrial

RATE_OFF = (0.01, 0.25)
"""SUSPECT and INVALID: how far a trial's rate may be from the one asked for. On emulated machines
the cost fell by half a per cent for each per cent of rate (from 1,190 to 4,300 packets/s)."""
MEAN_RATE_OFF_INVALID = 0.10
"""The same for the mean of an arm's trials: 5 % of cost, the smallest effect of interest."""
RATES_APART_SUSPECT = 0.01
GAP_SUSPECT = 10.0
"""99th percentile of the gaps over their mean. An emulated client that cannot keep up had 3.4 to
6.1 in twelve real trials; one that follows its deadlines has 1.2."""
DROPS_INVALID = 0.001
"""Of the packets offered."""
CPU_SUSPECT = {"kvm": 0.70, "emulation": 0.95}
"""The receiver's share of one CPU. Emulated, the Python program took 0.51 to 0.63 at 3,200 to
5,500 packets/s; close to 1 it is what sets the pace."""


def generator(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        if trial.client is None:
            continue
        verdicts, said, unknown = _sending(trial.client)
        if not verdicts:
            continue
        client = trial.client
        off = _rate_off(client) or 0.0
        found.append(
            of(trial).finding(
                "generator",
                gravest(verdicts),
                "; ".join(said + [f"not recorded: {what}" for what in unknown]),
                Evidence(
                    quantity="achieved rate",
                    observed=client.achieved_pps,
                    unit="packets/s",
                    bound=f"{client.rate_pps:g} ± {RATE_OFF[0]:.0%}, INVALID ± {RATE_OFF[1]:.0%}",
                ),
                Evidence(quantity="sends that failed", observed=client.send_errors, bound="0"),
                Evidence(
                    quantity="99th percentile of the gaps",
                    observed=client.gap_us.get("p99"),
                    unit="µs",
                    bound=f"<= {GAP_SUSPECT:g} × the mean",
                ),
                advice="The load was not the one asked for, and arms under different load are "
                "different measurements: lower --rate, or quieten the host.",
                degree=off + client.send_errors / max(client.planned, 1) + 0.001,
            )
        )
    return found + _rates_apart(run)


def _rate_off(client: ClientTrial) -> float | None:
    if client.achieved_pps is None or client.rate_pps <= 0:
        return None
    return abs(client.achieved_pps / client.rate_pps - 1)


def _sending(client: ClientTrial) -> tuple[list[Verdict], list[str], list[str]]:
    """Verdicts on what is wrong, the words for it, and what was not recorded."""
    verdicts: list[Verdict] = []
    said, unknown = [], []
    off = _rate_off(client)
    if off is None:
        unknown.append("the achieved rate")
    elif (verdict := graded(off, *RATE_OFF)) is not Verdict.VALID:
        verdicts.append(verdict)
        said.append(f"{client.achieved_pps:,.0f} packets/s instead of {client.rate_pps:,.0f}")
    if client.send_errors:
        verdicts.append(Verdict.SUSPECT)
        said.append(f"{client.send_errors:,} sends failed")
    mean, late = client.gap_us.get("mean"), client.gap_us.get("p99")
    if mean is None or late is None:
        unknown.append("the gaps between sends")
    elif late > GAP_SUSPECT * mean:
        verdicts.append(Verdict.SUSPECT)
        said.append(f"one gap in 100 was longer than {late:,.0f} µs, {late / mean:.0f} × the mean")
    return verdicts + [Verdict.SUSPECT] * bool(unknown), said, unknown


def _rates_apart(run: Run) -> list[Finding]:
    rates = {}
    for arm in run.arms:
        clients = [trial.client for trial in run.trials_of(arm.name) if trial.client]
        known = [client.achieved_pps for client in clients if client.achieved_pps is not None]
        if known:
            rates[arm.name] = sum(known) / len(known)
    if not rates or min(rates.values()) <= 0:
        return []
    off = [_arm_off(run, name, rate) for name, rate in rates.items()]
    slow, fast = min(rates, key=lambda a: rates[a]), max(rates, key=lambda a: rates[a])
    apart = rates[fast] / rates[slow] - 1
    wrong = [finding for finding in off if finding is not None]
    if apart <= RATES_APART_SUSPECT:
        return wrong
    return [
        *wrong,
        WHOLE_RUN.finding(
            "generator",
            Verdict.SUSPECT,
            f"the arms were not sent the same load: {rates[slow]:,.0f} packets/s to "
            f"“{run.arm(slow).title}”, {rates[fast]:,.0f} to “{run.arm(fast).title}”",
            Evidence(
                quantity="fastest arm's mean rate over the slowest's, less 1",
                observed=round(apart, 4),
                bound=f"<= {RATES_APART_SUSPECT:g}",
            ),
            advice="A packet costs less at a higher rate, where more of them share an interrupt: "
            "lower --rate until every trial achieves it.",
        ),
    ]


def _arm_off(run: Run, name: str, achieved_pps: float) -> Finding | None:
    """INVALID when the mean rate of an arm's trials is far from the one asked for."""
    asked_pps = next(t.client.rate_pps for t in run.trials_of(name) if t.client)
    off = abs(achieved_pps / asked_pps - 1) if asked_pps > 0 else 0.0
    if off <= MEAN_RATE_OFF_INVALID:
        return None
    return of_arm(name).finding(
        "generator",
        Verdict.INVALID,
        f"{achieved_pps:,.0f} packets/s on average instead of {asked_pps:,.0f}",
        Evidence(
            quantity="mean achieved rate",
            observed=round(achieved_pps, 1),
            unit="packets/s",
            bound=f"{asked_pps:g} ± {MEAN_RATE_OFF_INVALID:.0%}",
        ),
        advice="Leave --rate out: the warm-up then finds a load that this computer carries.",
        degree=off,
    )


def receiver(run: Run) -> list[Finding]:
    limit = CPU_SUSPECT.get(environment.accelerator(run), CPU_SUSPECT["kvm"])
    found = []
    for trial in run.trials:
        if trial.server is None:
            continue
        counts = {
            "UdpRcvbufErrors": counted(trial, "UdpRcvbufErrors"),
            "socket drops": socket_drops(trial),
        }
        share = _cpu_share(trial.server)
        lost = {name: count for name, count in counts.items() if count}
        unknown = [name for name, count in counts.items() if count is None]
        unknown += ["its CPU time"] if share is None else []
        said = []
        if lost:
            listed = ", ".join(f"{name} {count:,}" for name, count in lost.items())
            said.append(f"the receiving program lost packets it was handed: {listed}")
        if share is not None and share >= limit:
            said.append(f"the receiving program took {share:.0%} of one CPU")
        said += [f"not recorded of the receiver: {', '.join(unknown)}"] if unknown else []
        if not said:
            continue
        worst = max(lost.values(), default=0)
        found.append(
            of(trial).finding(
                "receiver",
                Verdict.INVALID if _drops_share(trial, worst) > DROPS_INVALID else Verdict.SUSPECT,
                "; ".join(said),
                *(
                    Evidence(
                        quantity=name,
                        observed=count,
                        unit="packets",
                        bound=f"0, INVALID > {DROPS_INVALID:.1%} of those offered",
                    )
                    for name, count in counts.items()
                ),
                Evidence(
                    quantity="the receiver's share of one CPU",
                    observed=None if share is None else round(share, 3),
                    bound=f"< {limit:g}",
                ),
                advice="The receiver was the bottleneck, not the hook: raise its buffer or "
                "lower --rate.",
                degree=worst + (share or 0.0),
            )
        )
    return found


def _cpu_share(server: ServerTrial) -> float | None:
    wall_s = (server.after.monotonic_ns - server.before.monotonic_ns) / 1e9
    return None if server.cpu_s is None or wall_s <= 0 else server.cpu_s / wall_s


def _drops_share(trial: Trial, drops: int) -> float:
    return drops / trial.client.offered if trial.client and trial.client.offered else 0.0


PROGRAM_CHECKS = (
    Check(
        code="generator",
        what="The client sent at the rate asked for, without failures or long gaps, and the same "
        "to every arm.",
        why="A packet's cost depends on the load: at a higher rate more packets share an "
        "interrupt.",
        threshold=f"SUSPECT: rate off by > {RATE_OFF[0]:.0%} (INVALID > {RATE_OFF[1]:.0%}, or > "
        f"{MEAN_RATE_OFF_INVALID:.0%} in the mean of an arm), any "
        f"failed send, 99th percentile of the gaps > {GAP_SUSPECT:g} × their mean, the arms' rates "
        f"apart by > {RATES_APART_SUSPECT:.0%}, or not recorded",
        source="times of the sends (client.json)",
        look=generator,
    ),
    Check(
        code="receiver",
        what="Packets lost at the receiving socket, and the receiving program's share of a CPU.",
        why="Then the program, not the hook, set the pace.",
        threshold=f"SUSPECT: any drop (INVALID > {DROPS_INVALID:.1%} of those offered), its CPU "
        f"share >= {CPU_SUSPECT['kvm']:.0%} under KVM, {CPU_SUSPECT['emulation']:.0%} under "
        "emulation, or not recorded",
        source="UdpRcvbufErrors (/proc/net/snmp), drops (/proc/net/udp) less checksum errors, "
        "the program's CPU time between the edges (server.json)",
        look=receiver,
    ),
)
