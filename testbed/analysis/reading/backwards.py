# SPDX-License-Identifier: Apache-2.0
"""Counters of a trial that ran backwards: a reset, another machine, or a file that was changed.

A counter of the kernel only grows while its machine runs. A difference below zero is no
measurement, whatever is made of it further on; so each is a problem of the trial, with its file,
place and both values. /proc/stat has rules of its own (cpu_clock.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from testbed.analysis.reading.trial_records import (
    ClientTrial,
    ClockReading,
    HookState,
    HostReading,
    Network,
    ServerTrial,
    Snap,
    Stack,
)

GAUGES = ("CurrEstab", "DefaultTTL", "Forwarding", "RtoAlgorithm", "RtoMin", "RtoMax")
"""Ends of the names in snmp and netstat that are no counters."""

Readings = tuple[str, Mapping[str, int], Mapping[str, int]]
"""A place, and what the counters there said before and after."""


def ran_backwards(found: Readings) -> Iterator[str]:
    """Each counter of a pair of readings that was larger before than after."""
    place, before, after = found
    for name, count in before.items():
        if name in after and after[name] < count and not name.endswith(GAUGES):
            yield f"{place}: {name} ran backwards, from {count:,} to {after[name]:,}"


def of_networks(file: str, before: Network | None, after: Network | None) -> Iterator[Readings]:
    """What snapshot.py read before and after the trial."""
    if before is None or after is None:
        return
    for key, one, other in (
        ("snmp", before.snmp, after.snmp),
        ("netstat", before.netstat, after.netstat),
        ("ethtool", before.device, after.device),
    ):
        for name in one.keys() & other.keys():
            yield f"{file}: {key}.{name}", one[name], other[name]
    yield file, _known(before), _known(after)


def _known(network: Network) -> dict[str, int]:
    values = {"kmsg_sequence": network.kmsg_sequence, "monotonic_ns": network.monotonic_ns}
    return {name: value for name, value in values.items() if value is not None}


def of_hook(file: str, before: HookState | None, after: HookState | None) -> Iterator[Readings]:
    """The hits, by number in the list."""
    hits = [state.hits for state in (before, after) if state is not None]
    if len(hits) == 2 and hits[0] is not None and hits[1] is not None:
        one, other = ({f"hits[{i}]": n for i, n in enumerate(counts)} for counts in hits if counts)
        yield file, one, other


def of_server(file: str, server: ServerTrial | None) -> Iterator[Readings]:
    """Its own counters at the edges of the traffic, and the clock at each reading of the CPUs."""
    if server is None:
        return
    window = server.idle_window or ()
    snaps = [*window, server.before, server.after]
    yield from _clocks(file, snaps)
    first, last = server.before, server.after
    yield f"{last.place}.softirqs", first.softirqs, last.softirqs
    counts = [{name: row.count for name, row in s.interrupts.items()} for s in (first, last)]
    yield f"{last.place}.interrupts", counts[0], counts[1]
    if server.stacks is not None:
        one, other = server.stacks
        yield from _of_stacks(f"{file}: network.root", one.root, other.root)
        yield from _of_stacks(f"{file}: network.namespace", one.namespace, other.namespace)
        drops = [{"drops": s.backlog_drops} for s in (one, other) if s.backlog_drops is not None]
        if len(drops) == 2:
            yield f"{file}: network.softnet_stat", drops[0], drops[1]


def _clocks(file: str, snaps: Sequence[Snap]) -> Iterator[Readings]:
    times = [ns for snap in snaps for ns in (snap.before_read_ns, snap.after_read_ns)]
    for one, other in pairwise(times):
        yield f"{file}: CPU readings", {"monotonic_ns": one}, {"monotonic_ns": other}


def of_client(file: str, client: ClientTrial | None) -> Iterator[Readings]:
    """Its own counters, where they were recorded."""
    if client is not None and client.before is not None and client.after is not None:
        yield from _of_stacks(f"{file}: counters", client.before, client.after)


def _of_stacks(place: str, before: Stack, after: Stack) -> Iterator[Readings]:
    yield f"{place}.snmp", before.snmp, after.snmp
    yield f"{place}.netstat", before.netstat, after.netstat
    for name in before.interfaces.keys() & after.interfaces.keys():
        yield f"{place}.dev, {name}", before.interfaces[name], after.interfaces[name]


def of_host(
    file: str, host: Mapping[str, HostReading], clocks: Mapping[str, ClockReading]
) -> Iterator[Readings]:
    """The host's counters from moment to moment; its threads but for the virtual CPUs' may end."""
    moments = [moment for moment in ("idle", "traffic", "end") if moment in host]
    for moment, following in pairwise(moments):
        one, other = host[moment], host[following]
        place = f"{file}: readings.{following}"
        yield f"{place}.threads, virtual CPUs, run_ns", one.vcpu_run_ns, other.vcpu_run_ns
        yield f"{place}.threads, virtual CPUs, wait_ns", one.vcpu_wait_ns, other.vcpu_wait_ns
        yield f"{place}.link_drops", one.link_drops, other.link_drops
        yield place, _own(one), _own(other)
    asked = [(moment, clocks[moment]) for moment in ("before", "after") if moment in clocks]
    for moment, reading in asked:
        ns = reading.host_before_ns, reading.host_after_ns
        yield f"{file}: clocks.{moment}", {"host_monotonic_ns": ns[0]}, {"host_monotonic_ns": ns[1]}
    if len(asked) == 2:
        times = [
            {"host_monotonic_ns": r.host_before_ns, "guest_uptime_ms": round(r.guest_s * 1e3)}
            for _, r in asked
        ]
        yield f"{file}: clocks.after", times[0], times[1]


def _own(reading: HostReading) -> dict[str, int]:
    values = {"monotonic_ns": reading.before_read_ns}
    return values if reading.own_cpu_ns is None else values | {"own_cpu_ns": reading.own_cpu_ns}
