# SPDX-License-Identifier: Apache-2.0
"""The counters that explain a loss, by the stretch of the path on which the kernel counts it.

Linux 6.1 raises them in these places. The NIC: rx_missed_errors and rx_no_buffer_count (e1000: MPC
and RNBC registers). enqueue_to_backlog(): softnet drops; veth passes through it, and counts
tx_dropped as well (net/core/dev.c, drivers/net/veth.c). ip_rcv_core(), ip_route_input, ip_forward()
and ip_output(): the IP counters. net/ipv4/udp.c: those of UDP. /proc/net/dev's rx_drop holds
rx_missed_errors too. The virtual link is a UDP socket of the server's QEMU on the host, and what
did not fit into it is in that socket's drop counter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from testbed.analysis.measures.data_packets import moved
from testbed.analysis.measures.hops import (
    CLIENT_TX,
    FORWARDED,
    HOOK,
    ORDER,
    SERVER_RX,
    UDP,
    UNIQUE,
    VETH,
    VETH_PEER,
    VETH_RX,
    VETH_TX,
)
from testbed.analysis.reading.records import Trial
from testbed.analysis.reading.trial_records import Stack, Stacks
from testbed.model.nic import INTERFACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A counter that moved by `count` during the trial."""

    counter: str
    count: int


ROOT_IP = (
    "IpInHdrErrors", "IpInDiscards", "IpInAddrErrors", "IpExtInNoRoutes", "IpOutNoRoutes",
    "IpOutDiscards",
)  # fmt: skip
NAMESPACE = (
    "UdpInCsumErrors", "UdpRcvbufErrors", "UdpNoPorts", "UdpMemErrors", "IpInHdrErrors",
    "IpInDiscards", "IpInAddrErrors",
)  # fmt: skip
LINK = "drops of the link’s socket on the host"
BACKLOG = "softnet backlog drops"


def causes_of(trial: Trial, start: str, end: str) -> tuple[Cause, ...]:
    """Those that moved, of all stretches after the hop `start` up to the hop `end`."""
    first, last = ORDER.index(start) + 1, ORDER.index(end)
    found: dict[str, int] = {}
    for hop in ORDER[first : last + 1]:
        found |= {name: count for name, count in _BEFORE[hop](trial).items() if count}
    return tuple(Cause(counter=name, count=count) for name, count in found.items())


def device_losses(trial: Trial) -> dict[str, int | None]:
    """Return the drops of the server's NIC, backlog and veth; None where they were not recorded."""
    nic = _nic(trial)
    known = [count for count in nic.values() if count is not None]
    veth = [*_veth_tx(trial).values(), *_veth_rx(trial).values()]
    counted = [count for count in veth if count is not None]
    return {
        # One packet can be in several of the NIC's counters.
        "server NIC": max(known) if known else None,
        "backlog": _backlog(trial),
        "veth": sum(counted) if len(counted) == len(veth) else None,
    }


def link_drops(trial: Trial) -> int | None:
    """Return the drops at the server's end of the link, on the host, while the client sent."""
    before, after = trial.host.get("traffic"), trial.host.get("end")
    if before is None or after is None:
        return None
    return moved(before.link_drops, after.link_drops, "server")


def _client(trial: Trial) -> dict[str, int | None]:
    client = trial.client
    if client is None or client.before is None or client.after is None:
        return {}
    lines = [stack.interfaces.get(INTERFACE, {}) for stack in (client.before, client.after)]
    found = {f"client {INTERFACE} tx_drop": moved(lines[0], lines[1], "tx_drop")}
    for name in ("UdpSndbufErrors", "IpOutDiscards"):
        found[f"client {name}"] = moved(client.before.snmp, client.after.snmp, name)
    return found


def _nic(trial: Trial) -> dict[str, int | None]:
    found = _interface(trial, _root, INTERFACE, ("rx_drop", "rx_fifo", "rx_errs"))
    if trial.before is not None and trial.after is not None:
        lines = [network.device.get(INTERFACE, {}) for network in (trial.before, trial.after)]
        for name in ("rx_missed_errors", "rx_no_buffer_count"):
            if (count := moved(lines[0], lines[1], name)) is not None:
                found[f"{INTERFACE} {name}"] = count
    return found


def _veth_tx(trial: Trial) -> dict[str, int | None]:
    return _interface(trial, _root, VETH, ("tx_drop",))


def _veth_rx(trial: Trial) -> dict[str, int | None]:
    return _interface(trial, _namespace, VETH_PEER, ("rx_drop",))


def _link(trial: Trial) -> dict[str, int | None]:
    return {LINK: link_drops(trial), **_nic(trial)}


def _arrival(trial: Trial) -> dict[str, int | None]:
    return {BACKLOG: _backlog(trial)}


def _routing(trial: Trial) -> dict[str, int | None]:
    return {**_arrival(trial), **_counters(trial, _root, ROOT_IP)}


def _output(trial: Trial) -> dict[str, int | None]:
    discards = _counters(trial, _root, ("IpOutDiscards",))
    return {**_arrival(trial), **discards, **_veth_tx(trial)}


def _local(trial: Trial) -> dict[str, int | None]:
    return _counters(trial, _namespace, NAMESPACE)


def _program(trial: Trial) -> dict[str, int | None]:
    if trial.server is None:
        return {}
    return {"duplicates": trial.server.duplicates, "not the trial’s": trial.server.foreign}


def _backlog(trial: Trial) -> int | None:
    stacks = trial.server.stacks if trial.server else None
    if stacks is None or stacks[0].backlog_drops is None or stacks[1].backlog_drops is None:
        return None
    return stacks[1].backlog_drops - stacks[0].backlog_drops


def _root(stacks: Stacks) -> Stack:
    return stacks.root


def _namespace(stacks: Stacks) -> Stack:
    return stacks.namespace


def _interface(
    trial: Trial, stack: Callable[[Stacks], Stack], device: str, names: tuple[str, ...]
) -> dict[str, int | None]:
    stacks = trial.server.stacks if trial.server else None
    if stacks is None:
        return dict.fromkeys((f"{device} {name}" for name in names), None)
    before, after = (stack(edge).interfaces.get(device, {}) for edge in stacks)
    return {f"{device} {name}": moved(before, after, name) for name in names}


def _counters(
    trial: Trial, stack: Callable[[Stacks], Stack], names: tuple[str, ...]
) -> dict[str, int | None]:
    stacks = trial.server.stacks if trial.server else None
    if stacks is None:
        return dict.fromkeys(names, None)
    before, after = ({**stack(edge).snmp, **stack(edge).netstat} for edge in stacks)
    return {name: moved(before, after, name) for name in names}


_BEFORE: Mapping[str, Callable[[Trial], dict[str, int | None]]] = {
    CLIENT_TX: _client,
    SERVER_RX: _link,
    HOOK: _arrival,
    FORWARDED: _routing,
    VETH_TX: _output,
    VETH_RX: _veth_rx,
    UDP: _local,
    UNIQUE: _program,
}
"""The counters of losses on the way to each hop, from the one before it in ORDER."""
