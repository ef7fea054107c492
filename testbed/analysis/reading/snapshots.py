# SPDX-License-Identifier: Apache-2.0
"""Reads before.json, after.json, host.json and the hook's files: counters around a trial."""

from typing import Any

from testbed.analysis.formats.proc_files import parse_meminfo, parse_snmp, parse_stat
from testbed.analysis.reading.trial_records import ClockReading, HookState, HostReading, Network
from testbed.model.json_node import Node

STATE = (
    "sysctls", "modules", "links", "tracer", "trace_events", "packet_sockets",
    "namespace_packet_sockets", "gro", "packet_taps", "settings", "trace_ring", "programs",
    "kprobes", "traced_functions", "kthreads", "attached",
)  # fmt: skip


def network_of(node: Node) -> Network:
    """before.json or after.json; raises ParseError naming the place."""

    def by_namespace(key: str) -> dict[str, dict[str, int]]:
        group = node.get(key)
        return {
            space: parse_snmp(text.as_text(), f"{node.file}: {key}.{space}")
            for space in group.mapping()
            if (text := group.find(space)) is not None
        }

    memory = node.find("meminfo")
    return Network(
        snmp=by_namespace("snmp"),
        netstat=by_namespace("netstat"),
        kmsg_sequence=node.optional_integer("kmsg_sequence"),
        monotonic_ns=node.optional_integer("monotonic_ns"),
        device=_device(node),
        interrupts=_interrupts(node),
        memory={} if memory is None else parse_meminfo(memory.as_text(), f"{node.file}: meminfo"),
        state={key: node.mapping()[key] for key in STATE if key in node.mapping()},
    )


def _device(node: Node) -> dict[str, dict[str, int]]:
    group = node.find("ethtool")
    if group is None:
        return {}
    found = {name: group.find(name) for name in group.mapping()}
    return {
        name: {key: counters.integer(key) for key in counters.mapping()}
        for name, counters in found.items()
        if counters is not None
    }


def _interrupts(node: Node) -> dict[str, tuple[str, ...]]:
    group = node.find("nic_interrupts")
    if group is None:
        return {}
    numbers = {name: group.integers(name) for name in group.mapping()}
    return {name: tuple(map(str, known)) for name, known in numbers.items() if known}


def hook_of(node: Node) -> HookState:
    """hook-before.json or hook-after.json."""
    verify = node.find("verify")
    facts: dict[str, Any] = verify.mapping() if verify is not None else {}
    return HookState(
        mode=verify.optional_text("mode") if verify is not None else None,
        facts=facts,
        hits=node.integers("hits"),
        problem=node.optional_text("problem"),
    )


def host_of(node: Node) -> tuple[dict[str, HostReading], dict[str, ClockReading]]:
    """host.json: the readings by moment, and the server's clock beside the host's."""
    readings, clocks = node.get("readings"), node.get("clocks")
    return (
        {moment: _reading(readings.get(moment)) for moment in readings.mapping()},
        {moment: _clock(clocks.get(moment)) for moment in clocks.mapping()},
    )


def _clock(node: Node) -> ClockReading:
    before_ns, after_ns = _pair(node, "host_monotonic_ns")
    guest_s = node.number("guest_uptime_s")
    return ClockReading(host_before_ns=before_ns, host_after_ns=after_ns, guest_s=guest_s)


def _pair(node: Node, key: str) -> tuple[int, int]:
    found = node.integers(key)
    if found is None or len(found) != 2:
        raise node.fault("expected two times, before and after", key)
    return found[0], found[1]


def _reading(node: Node) -> HostReading:
    edges = _pair(node, "monotonic_ns")
    threads = node.get("threads")
    roles = [role for role in threads.mapping() if threads.find(role) is not None]
    stat = node.find("stat")
    drops = node.get("link_drops")
    return HostReading(
        before_read_ns=edges[0],
        after_read_ns=edges[1],
        vcpu_run_ns={role: _sum(threads.get(role), "run_ns", "CPU ") for role in roles},
        vcpu_wait_ns={role: _sum(threads.get(role), "wait_ns", "CPU ") for role in roles},
        machine_run_ns={role: _sum(threads.get(role), "run_ns", "") for role in roles},
        link_drops={
            role: count
            for role in drops.mapping()
            if (count := drops.optional_integer(role)) is not None
        },
        stat=None if stat is None else parse_stat(stat.as_text(), stat.file),
        own_cpu_ns=node.optional_integer("own_cpu_ns"),
    )


def _sum(threads: Node, key: str, start: str) -> int:
    """Over the threads whose name has this start: a virtual CPU's is "CPU n/…"."""
    items = threads.items()
    return sum(thread.integer(key) for thread in items if thread.text("name").startswith(start))
