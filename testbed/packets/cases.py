# SPDX-License-Identifier: Apache-2.0
"""Every case of the gate, drawn by a seed for one network and the trials of one configuration."""

from dataclasses import replace

from dpkt.ip import IP_PROTO_TCP, IP_PROTO_UDP

from testbed.model.config import NetworkConfig
from testbed.packets.case import Case
from testbed.packets.craft import Wire
from testbed.packets.crafting import Crafting
from testbed.packets.drawing import Draws
from testbed.packets.matching import MATCHING
from testbed.packets.passing import PASSING, PROTOCOLS, other_ports
from testbed.packets.reference import packed, packet_of, redirected_frame

CAPTURED = (IP_PROTO_UDP, IP_PROTO_TCP, *PROTOCOLS)
"""Protocols of packets that may reach the server's own sockets."""
MARKER_BYTES = 24
"""An end marker is as long as the trials' own control datagrams."""


def cases_for(draws: Draws, wire: Wire, *, direct: bool) -> tuple[Case, ...]:
    """Return all cases; with `direct` those to rewrite go to the target already.

    Fresh draws of one seed give the same cases, and the right output is the same for both ways. So
    all arms can be held against one another, the one without a hook too.
    """
    crafting = Crafting(draws, wire)
    for add in (*MATCHING, *PASSING):
        add(crafting)
    network = draws.network
    return tuple(_to_target(case, network) if direct else case for case in crafting.cases)


def end_markers(draws: Draws, wire: Wire) -> tuple[bytes, tuple[bytes, bytes]]:
    """Return how the frames that end a capture begin behind UDP's header, and those frames.

    One comes out in the namespace, one at the server itself.
    """
    name = draws.chance.randbytes(MARKER_BYTES)
    network = draws.network
    inner = draws.datagram(
        payload=name, destination=network.target_address, port=network.target_port
    )
    local = draws.datagram(payload=name, port=other_ports(network.match_port)[0])
    return name, (wire.frame(inner.packet()), wire.frame(local.packet()))


def _to_target(case: Case, network: NetworkConfig) -> Case:
    server = packed(network.server_address)
    if case.fate not in ("rewritten", "untagged") or packet_of(case.frames[0])[16:20] != server:
        return case
    return replace(case, frames=tuple(redirected_frame(frame, network) for frame in case.frames))
