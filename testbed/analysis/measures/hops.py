# SPDX-License-Identifier: Apache-2.0
"""The places at which a trial's packets were counted, from the client's socket to the program.

Each hop has the number of *data* packets there, and what was taken off to get it: control
datagrams, answers, ARP (`data_packets`). The client's counters stand before START and after
END_ACK; the server's stand between START (its first copy, which was answered) and END, and the
hook's before the one and after the other.
"""

from collections.abc import Callable
from dataclasses import dataclass

from testbed.analysis.measures.data_packets import (
    IP_AND_UDP_BYTES,
    Tally,
    data_among,
    moved,
    of_interface,
)
from testbed.analysis.reading.records import Arm, Trial
from testbed.analysis.reading.trial_records import ClientTrial, ServerTrial, Stack, Stacks
from testbed.model.nic import INTERFACE

SENT = "accepted sends"
CLIENT_TX = "client NIC tx"
SERVER_RX = "server NIC rx"
HOOK = "hook hits"
FORWARDED = "forwarded"
VETH_TX = "veth tx"
VETH_RX = "veth rx"
UDP = "UDP delivered"
UNIQUE = "unique sequence numbers"
ORDER = (SENT, CLIENT_TX, SERVER_RX, HOOK, FORWARDED, VETH_TX, VETH_RX, UDP, UNIQUE)

VETH = "sslab-host"
VETH_PEER = "sslab-app"
"""guest/setup/server.sh names them."""
NOT_FORWARDED = ("rewrite-and-bypass", "proxy")
"""Classes of arms whose packets do not pass ip_forward()."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """`packets` = `raw` - `other`; all None when the counter was not recorded."""

    name: str
    packets: int | None
    counter: str
    raw: int | None
    other: int | None


def received_frames(trial: Trial) -> int | None:
    """Return the frames that the server's NIC received between the edges of the traffic."""
    stacks = trial.server.stacks if trial.server else None
    if stacks is None:
        return None
    before, after = (edge.root.interfaces.get(INTERFACE, {}) for edge in stacks)
    return moved(before, after, "rx_packets")


def hops_of(trial: Trial, arm: Arm) -> tuple[Hop, ...]:
    """In the packets' order; empty without a record of client and server.

    A hook's hop is there only for an arm whose hook the packets meet, and `forwarded` only for
    one whose packets the stack forwards.
    """
    client, server = trial.client, trial.server
    if client is None or server is None:
        return ()
    edges = _Edges(client, server)
    hops = [
        _hop(SENT, "client.json: offered", client.offered, client.offered),
        _client_tx(client),
        edges.interface(SERVER_RX, f"{INTERFACE} rx, root", _root, INTERFACE, "rx"),
    ]
    if not arm.is_baseline and arm.control_kind != "unmatched":
        hops.append(_hook(trial, client, edges))
    if arm.semantic_class not in NOT_FORWARDED:
        hops.append(edges.forwarded())
    hops += [
        edges.interface(VETH_TX, "sslab-host tx, root", _root, VETH, "tx"),
        edges.interface(VETH_RX, "sslab-app rx, namespace", _namespace, VETH_PEER, "rx"),
        edges.udp(),
        _hop(UNIQUE, "server.json: unique", server.unique, server.unique),
    ]
    return tuple(hops)


def _root(stacks: Stacks) -> Stack:
    return stacks.root


def _namespace(stacks: Stacks) -> Stack:
    return stacks.namespace


def _hop(name: str, counter: str, raw: int | None, packets: int | None) -> Hop:
    if raw is None or packets is None:
        return Hop(name=name, packets=None, counter=counter, raw=raw, other=None)
    return Hop(name=name, packets=packets, counter=counter, raw=raw, other=raw - packets)


def _client_tx(client: ClientTrial) -> Hop:
    before = client.before.interfaces.get(INTERFACE) if client.before else None
    after = client.after.interfaces.get(INTERFACE) if client.after else None
    tally = of_interface(before, after, "tx")
    if tally is None:
        return _hop(CLIENT_TX, f"{INTERFACE} tx, client", None, None)
    data = data_among(tally, client.payload_bytes, client.control_sent)
    return _hop(CLIENT_TX, f"{INTERFACE} tx, client", tally.packets, data)


def _hook(trial: Trial, client: ClientTrial, edges: "_Edges") -> Hop:
    """The hook's counter was read around all of the trial: it saw START and CLOSE too.

    Outside the edges nothing but control datagrams came through, so what UDP counted there is
    what got through of them."""
    through = client.control_sent
    whole = _udp_of_trial(trial)
    within, control = edges.udp_datagrams, edges.control
    if whole is not None and within is not None and control is not None:
        through = min(through, max(0, whole - within) + control)
    hits = trial.hook_hits
    return _hop(HOOK, "the arm's count", hits, None if hits is None else hits - through)


def _udp_of_trial(trial: Trial) -> int | None:
    if trial.before is None or trial.after is None:
        return None
    before, after = (n.snmp.get("namespace", {}) for n in (trial.before, trial.after))
    return moved(before, after, "UdpInDatagrams")


class _Edges:
    """The counts of the server's stack between START and END."""

    def __init__(self, client: ClientTrial, server: ServerTrial) -> None:
        self.stacks = server.stacks
        self.payload_bytes = client.payload_bytes
        self.expected = _control_expected(client, server)
        self.control = self._control()
        self.udp_datagrams = self._moved(_namespace, "UdpInDatagrams")

    def interface(
        self, name: str, counter: str, stack: Callable[[Stacks], Stack], device: str, way: str
    ) -> Hop:
        if self.stacks is None:
            return _hop(name, counter, None, None)
        lines = [stack(stacks).interfaces.get(device) for stacks in self.stacks]
        tally = of_interface(lines[0], lines[1], way)
        if tally is None:
            return _hop(name, counter, None, None)
        data = data_among(tally, self.payload_bytes, self.expected)
        return _hop(name, counter, tally.packets, data)

    def forwarded(self) -> Hop:
        """IpForwDatagrams counts both ways: the program's answers, too, are forwarded."""
        raw = self._moved(_root, "IpForwDatagrams")
        answers = self._moved(_namespace, "IpOutRequests")
        if raw is None or answers is None or self.control is None:
            return _hop(FORWARDED, "IpForwDatagrams, root", raw, None)
        return _hop(FORWARDED, "IpForwDatagrams, root", raw, raw - answers - self.control)

    def udp(self) -> Hop:
        raw = self.udp_datagrams
        data = None if raw is None or self.control is None else raw - self.control
        return _hop(UDP, "UdpInDatagrams, namespace", raw, data)

    def _control(self) -> int | None:
        """Control datagrams that reached the namespace: IP packets there that are no data."""
        packets = self._moved(_namespace, "IpInReceives")
        if packets is None:
            return None
        octets = self._moved(_namespace, "IpExtInOctets", netstat=True)
        tally = Tally(packets=packets, octets=octets, headers=IP_AND_UDP_BYTES)
        return packets - data_among(tally, self.payload_bytes, self.expected)

    def _moved(
        self, stack: Callable[[Stacks], Stack], name: str, *, netstat: bool = False
    ) -> int | None:
        if self.stacks is None:
            return None
        first, last = (stack(stacks) for stacks in self.stacks)
        if netstat:
            return moved(first.netstat, last.netstat, name)
        return moved(first.snmp, last.snmp, name)


def _control_expected(client: ClientTrial, server: ServerTrial) -> int:
    """Between the edges: every END, repeated STARTs (each was answered), and in a session the
    CLOSE and START between two trials. As if none got lost; the lengths put that right."""
    ends = 1 if client.end_attempts is None else client.end_attempts
    starts = 0 if server.answers_sent is None else max(0, server.answers_sent - 1)
    closes = max(0, len(server.uniques) - 1)
    return ends + starts + closes
