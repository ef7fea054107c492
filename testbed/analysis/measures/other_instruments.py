# SPDX-License-Identifier: Apache-2.0
"""The same work as other instruments saw it, to set beside the headline (cost.py).

The host counts in nanoseconds how long each virtual CPU's thread ran (/proc/PID/task/TID/schedstat,
by the scheduler and not by ticks), and knows nothing of the guest's own accounting. Under emulation
that is the time to emulate the work, and a virtual CPU that spins while it waits counts as busy.

    vcpu_us = (Δrun over the traffic - rate of Δrun in the idle window * time) / delivered

The host reads a little before `go` and after the client has ended, so its window is longer than
START to END by some tenths of a second; the idle rate takes off what passed there, too.
"""

from dataclasses import dataclass

from testbed.analysis.formats.proc_files import Interrupt
from testbed.analysis.measures.cost import cost_of
from testbed.analysis.measures.data_packets import moved
from testbed.analysis.measures.hops import NIC
from testbed.analysis.measures.mpstat_timeline import percent_in_traffic
from testbed.analysis.reading.records import Trial
from testbed.analysis.reading.trial_records import HostReading, Snap


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One trial by every instrument; None where one did not record."""

    cost_us: float | None
    vcpu_us: float | None
    """Host time of the server's virtual CPUs per delivered packet, CPU-µs."""
    mpstat_busy_pct: float | None
    """Of one CPU, over the traffic."""
    net_rx_per_packet: float | None
    """NET_RX softirqs for each frame that the server's NIC received; veth's backlog adds some."""
    packets_per_interrupt: float | None
    """Frames that the server's NIC received for each interrupt it raised."""


def readings_of(trial: Trial) -> Readings:
    cost = cost_of(trial)
    return Readings(
        cost_us=cost.cost_us if cost else None,
        vcpu_us=vcpu_us(trial),
        mpstat_busy_pct=percent_in_traffic(trial),
        net_rx_per_packet=_net_rx(trial),
        packets_per_interrupt=_per_interrupt(trial),
    )


def vcpu_us(trial: Trial) -> float | None:
    """Host time of the server's virtual CPUs per delivered packet, CPU-µs; None when not recorded,
    and where a cost has no meaning either."""
    cost = cost_of(trial)
    if cost is None or cost.cost_us is None:
        return None
    moments = [trial.host.get(moment) for moment in ("idle", "traffic", "end")]
    idle, traffic, end = moments
    if idle is None or traffic is None or end is None or trial.server is None:
        return None
    at_rest, at_work = _run(idle, traffic), _run(traffic, end)
    if at_rest is None or at_work is None or trial.server.unique <= 0:
        return None
    net_ns = at_work[0] - at_rest[0] / at_rest[1] * at_work[1]
    return net_ns / trial.server.unique / 1e3


def _run(before: HostReading, after: HostReading) -> tuple[int, float] | None:
    """Time that the server's virtual CPUs ran, and time that passed, both in ns."""
    passed = after.monotonic_ns - before.monotonic_ns
    if "server" not in before.vcpu_run_ns or "server" not in after.vcpu_run_ns or passed <= 0:
        return None
    return after.vcpu_run_ns["server"] - before.vcpu_run_ns["server"], passed


def _net_rx(trial: Trial) -> float | None:
    server, received = trial.server, _received(trial)
    if server is None or not received:
        return None
    before, after = server.before.softirqs, server.after.softirqs
    if "NET_RX" not in before or "NET_RX" not in after:
        return None
    return (after["NET_RX"] - before["NET_RX"]) / received


def _per_interrupt(trial: Trial) -> float | None:
    server, received = trial.server, _received(trial)
    if server is None or received is None:
        return None
    counts = [_raised(trial, snap) for snap in (server.before, server.after)]
    if counts[0] is None or counts[1] is None:
        return None
    raised = counts[1] - counts[0]
    return received / raised if raised > 0 else None


def _raised(trial: Trial, snap: Snap) -> int | None:
    """Interrupts of the server's NIC so far, of all its rows.

    By the numbers that the server found for the NIC: a row's name is the driver's choice, and
    virtio's does not hold the interface. An older run has no numbers; its rows go by name, and a
    NIC with several queues has several, named lab0-rx-0 and so on.
    """
    numbers = trial.before.interrupts.get(NIC) if trial.before else None
    counts = [
        row.count
        for number, row in snap.interrupts.items()
        if (number in numbers if numbers else _is_named(row))
    ]
    return sum(counts) if counts else None


def _is_named(row: Interrupt) -> bool:
    return any(word.split("-")[0] == NIC for word in row.words.replace(",", " ").split())


def _received(trial: Trial) -> int | None:
    """Frames that the server's NIC received between the edges of the traffic."""
    stacks = trial.server.stacks if trial.server else None
    if stacks is None:
        return None
    before, after = (edge.root.interfaces.get(NIC, {}) for edge in stacks)
    return moved(before, after, "rx_packets")
