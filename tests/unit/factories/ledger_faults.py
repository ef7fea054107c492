# SPDX-License-Identifier: Apache-2.0
"""A sound trial's records with faults put in where the kernel would count them."""

from collections.abc import Callable
from dataclasses import replace

from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.trial_records import ServerTrial, Stack, Stacks

FRAME, IP_PACKET = 1042, 1028
"""A data packet of 1,000 bytes on the wire, and in IpExtInOctets."""


def server_of(trial: Trial) -> ServerTrial:
    assert trial.server is not None
    return trial.server


def moved(trial: Trial, space: str, name: str, by: int) -> Trial:
    """A counter of snmp or netstat is `by` higher at the end of the traffic."""

    def change(stack: Stack) -> Stack:
        where = "netstat" if name in stack.netstat else "snmp"
        counters = getattr(stack, where)
        return replace(stack, **{where: {**counters, name: counters[name] + by}})

    return _after(trial, space, change)


def moved_on(trial: Trial, space: str, device: str, **by: int) -> Trial:
    """Counters of an interface are higher at the end of the traffic."""

    def change(stack: Stack) -> Stack:
        line = stack.interfaces[device]
        line = {**line, **{name: line[name] + count for name, count in by.items()}}
        return replace(stack, interfaces={**stack.interfaces, device: line})

    return _after(trial, space, change)


def without_stacks(trial: Trial) -> Trial:
    return replace(trial, server=replace(server_of(trial), stacks=None))


def backlog(trial: Trial, drops: int) -> Trial:
    stacks = server_of(trial).stacks
    assert stacks is not None
    after = replace(stacks[1], backlog_drops=(stacks[1].backlog_drops or 0) + drops)
    return replace(trial, server=replace(server_of(trial), stacks=(stacks[0], after)))


def link_drops(trial: Trial, count: int) -> Trial:
    end = trial.host["end"]
    end = replace(end, link_drops={**end.link_drops, "server": end.link_drops["server"] + count})
    return replace(trial, host={**trial.host, "end": end})


def lost_at(trial: Trial, hop: str, count: int) -> Trial:
    """`count` packets less from this hop on; nobody counted why."""
    order = ("server NIC rx", "hook hits", "forwarded", "veth tx", "UDP delivered")
    for name in order[order.index(hop) :]:
        trial = _fewer(trial, name, count)
    return replace(trial, server=replace(server_of(trial), unique=server_of(trial).unique - count))


def _fewer(trial: Trial, hop: str, count: int) -> Trial:
    if hop == "server NIC rx":
        return moved_on(trial, "root", "lab0", rx_packets=-count, rx_bytes=-count * FRAME)
    if hop == "hook hits":
        hook = trial.hook_after
        if hook is None or hook.hits is None:
            return trial
        hits = (hook.hits[0] - count, *hook.hits[1:])
        return replace(trial, hook_after=replace(hook, hits=hits))
    if hop == "forwarded":
        return moved(trial, "root", "IpForwDatagrams", -count)
    if hop == "veth tx":
        trial = moved_on(trial, "root", "sslab-host", tx_packets=-count, tx_bytes=-count * FRAME)
        trial = moved_on(
            trial, "namespace", "sslab-app", rx_packets=-count, rx_bytes=-count * FRAME
        )
        trial = moved(trial, "namespace", "IpInReceives", -count)
        trial = moved(trial, "namespace", "IpExtInNoECTPkts", -count)
        return moved(trial, "namespace", "IpExtInOctets", -count * IP_PACKET)
    return moved(trial, "namespace", "UdpInDatagrams", -count)


def with_trial(run: Run, trial: Trial) -> Run:
    """The run with this trial in place of the one of its block and arm."""
    trials = tuple(
        trial if (old.block, old.arm) == (trial.block, trial.arm) else old for old in run.trials
    )
    return replace(run, trials=trials)


def _after(trial: Trial, space: str, change: Callable[[Stack], Stack]) -> Trial:
    stacks = server_of(trial).stacks
    assert stacks is not None
    after: Stacks = replace(stacks[1], **{space: change(getattr(stacks[1], space))})
    return replace(trial, server=replace(server_of(trial), stacks=(stacks[0], after)))
